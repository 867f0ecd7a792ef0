/** The AWS target against the sandbox cloud, through the real SDK: disks as files through S3. */
import { describeTarget } from '../contract.ts';
import { openSandboxGround } from './sandbox-ground.ts';

describeTarget({ name: 'aws', transport: 'parts', openGround: openSandboxGround });
