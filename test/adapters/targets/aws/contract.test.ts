/** The AWS target against the sandbox cloud, through the real SDK. */
import { describeTarget } from '../contract.ts';
import { openSandboxGround } from './sandbox-ground.ts';

describeTarget('aws', openSandboxGround);
