/** The Azure target against the target's contract, over the sandbox's look-alike. */
import { describeTarget } from '../contract.ts';
import { openSandboxGround } from './sandbox-ground.ts';

describeTarget({ name: 'azure', transport: 'blocks', openGround: openSandboxGround });
