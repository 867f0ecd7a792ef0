/** The Azure target against the target's contract, over the sandbox's look-alike. */
import { describeTarget } from '../contract.ts';
import { openSandboxGround } from './sandbox-ground.ts';

describeTarget({
  name: 'azure',
  transport: 'blocks',
  openGround: openSandboxGround,
  // Put Page takes CRC64 or MD5 of what is sent (page-checksum.test.ts, page-sink.test.ts), never the block's SHA-256.
  lacks: ['checksums'],
});
