/**
 * Writes single blocks into a snapshot under way.
 * https://docs.aws.amazon.com/ebs/latest/APIReference/API_PutSnapshotBlock.html
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { PutSnapshotBlockCommand } from '@aws-sdk/client-ebs';
import { createSignalJoiner } from '../../../src/blocks/signal-joiner.ts';
import { LandfallError } from '../../../src/domain/errors.ts';
import type { BlockSink } from '../../../src/domain/ports.ts';
import { createBlockSender } from './ebs-block-request.ts';
import { EBS_BLOCK_BYTES } from './ebs-client.ts';
import { blockCall, type DiskUpload } from './ebs-snapshot.ts';
import { askUntil, awsCodeOf } from './errors.ts';

type WriteBlock = BlockSink['writeBlock'];

/** AWS no longer takes blocks for this snapshot, or says so of a block that it got in another state than it was sent. */
const LOOK_AGAIN = new Set(['ResourceNotFoundException', 'ValidationException']);

/** Sending takes 0.5 ms of the event loop. On a busy host 64 answers come in one turn of it, and 64 blocks would follow. */
const SENT_IN_ONE_TURN = 12;

export function createBlockWriter(upload: DiskUpload, snapshotId: string): WriteBlock {
  const { aws, request, context } = upload;
  const signalWith = createSignalJoiner(context.signal);
  const pace = createPace();
  const sendBlock = createBlockSender(aws.ebs);
  return async ({ index, bytes, sha256 }, signal) => {
    if (bytes.length !== EBS_BLOCK_BYTES)
      throw new TypeError(`block ${index} has ${bytes.length} bytes instead of ${EBS_BLOCK_BYTES}`);
    const abortSignal = signalWith(signal);
    const checksum = bufferOf(sha256).toString('base64');
    const command = new PutSnapshotBlockCommand({
      SnapshotId: snapshotId,
      BlockIndex: index,
      // As it is: for any other kind of bytes the SDK would make a copy or a stream, and a stream is not sent again.
      BlockData: bufferOf(bytes),
      DataLength: EBS_BLOCK_BYTES,
      Checksum: checksum,
      ChecksumAlgorithm: 'SHA256',
    });
    const doing = `Writing block ${index} (at byte ${index * EBS_BLOCK_BYTES}) of ${context.machine} disk ${request.disk}`;
    const call = blockCall(aws, { doing, action: 'ebs:PutSnapshotBlock', snapshotId });
    const send = async () => {
      await pace();
      return await sendBlock(command, abortSignal);
    };
    const inTurn = () => aws.blockLimits.writes.run(send, abortSignal);
    const answer = await askUntil(abortSignal, call, inTurn).catch((error: unknown) => {
      throw LOOK_AGAIN.has(awsCodeOf(error)) ? lookAgain(error as LandfallError, snapshotId) : error;
    });
    if (answer.Checksum !== undefined && answer.Checksum !== checksum) throw damagedBlock(doing, snapshotId);
  };
}

/** Lets only so many pass in one turn of the event loop; timers and other sockets get theirs in between. */
function createPace(): () => Promise<void> {
  let sentInTurn = 0;
  return async () => {
    while (sentInTurn >= SENT_IN_ONE_TURN) await nextTurn();
    if (sentInTurn === 0) {
      setImmediate(() => {
        sentInTurn = 0;
      });
    }
    sentInTurn += 1;
  };
}

function bufferOf({ buffer, byteOffset, byteLength }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}

function lookAgain(error: LandfallError, snapshotId: string): LandfallError {
  return new LandfallError({
    code: error.code,
    retryable: true,
    message: `${error.message} The next try looks what became of ${snapshotId}, and starts again where AWS gave it up.`,
    cause: error,
    context: error.context,
  });
}

function damagedBlock(doing: string, snapshotId: string): LandfallError {
  return new LandfallError({
    code: 'target-refused',
    retryable: true,
    message: `${doing} ended with another SHA-256 at AWS than at the source: it was damaged on the way and is sent again.`,
    context: { snapshotId },
  });
}
