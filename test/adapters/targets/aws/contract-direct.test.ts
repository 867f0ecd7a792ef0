/** The AWS target against the sandbox cloud, through the real SDK: disks as blocks into snapshots. */
import { describeTarget } from '../contract.ts';
import { openDirectGround } from './sandbox-ground.ts';

describeTarget({ name: 'aws by ebs-direct', transport: 'blocks', openGround: openDirectGround });
