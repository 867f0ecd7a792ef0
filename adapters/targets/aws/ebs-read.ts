/**
 * Reads what a landing was made of: its snapshots, by EBS direct.
 * https://docs.aws.amazon.com/ebs/latest/APIReference/API_GetSnapshotBlock.html
 *
 * AWS hands a block out against a token, which comes with a page of ListSnapshotBlocks. 16 pages of 1000 tokens are kept
 * (about 3 MB, 8 GiB of data): whoever reads in the order of `heldBlocks` needs one request for a page in 500 MiB.
 */
import { hash } from 'node:crypto';
import { GetSnapshotBlockCommand } from '@aws-sdk/client-ebs';
import { LandfallError } from '../../../src/domain/errors.ts';
import type { Landing } from '../../../src/domain/landing.ts';
import type { Machine } from '../../../src/domain/machine.ts';
import type { LandedDisk } from '../../../src/domain/ports.ts';
import type { Aws } from './clients.ts';
import { EBS_BLOCK_BYTES } from './ebs-client.ts';
import { type BlockPages, createBlockPages } from './ebs-pages.ts';
import { blockCall } from './ebs-snapshot.ts';
import { askUntil, awsCodeOf } from './errors.ts';
import { landingRef } from './landing.ts';

/** A block that does not have the SHA-256 which AWS sent along is asked for again: it was damaged on the way, mostly. */
const DAMAGED_READS = 3;

type Reading = { aws: Aws; snapshotId: string; what: string; pages: BlockPages; index: number };

/** null for landings of import-image: AWS changed their disks. */
export async function openLandedDisk(
  aws: Aws,
  { landing, machine, disk }: { landing: Landing; machine: Machine; disk: string },
  signal: AbortSignal,
): Promise<LandedDisk | null> {
  const snapshotId = landingRef(landing).snapshots[disk];
  if (snapshotId === undefined) return null;
  const what = `${machine.name} disk ${disk}`;
  const pages = createBlockPages({ aws, snapshotId, what });
  const first = await pages.pageOf(0, signal);
  return {
    bytes: first.volumeBytes,
    blockBytes: EBS_BLOCK_BYTES,
    heldBlocks: (until) => heldBlocks(pages, until),
    readBlock: (index, until) => readBlock({ aws, snapshotId, what, pages, index }, until),
    [Symbol.asyncDispose]: async () => pages.clear(),
  };
}

async function* heldBlocks(pages: BlockPages, signal: AbortSignal): AsyncGenerator<number> {
  let from = 0;
  while (from < Number.POSITIVE_INFINITY) {
    const page = await pages.pageOf(from, signal);
    for (const index of page.tokens.keys()) if (index >= from) yield index;
    from = page.until;
  }
}

async function readBlock(reading: Reading, signal: AbortSignal): Promise<Uint8Array> {
  const { pages, index } = reading;
  for (let read = 1; ; read += 1) {
    const token = (await pages.pageOf(index, signal)).tokens.get(index);
    if (token === undefined) return Buffer.alloc(EBS_BLOCK_BYTES);
    const block = await getBlock(reading, { token, isLast: read >= DAMAGED_READS, signal });
    if (block === null) pages.clear();
    // What AWS itself holds damaged stays so: the comparison with the digest tree is what names it.
    else if (block.isSound || read >= DAMAGED_READS) return wholeBlock(reading, block.bytes);
  }
}

/** null where the token is good no more, since its page was kept too long, and another one may be asked for. */
async function getBlock(
  { aws, snapshotId, what, index }: Reading,
  { token, isLast, signal }: { token: string; isLast: boolean; signal: AbortSignal },
): Promise<{ bytes: Buffer; isSound: boolean } | null> {
  const doing = `Reading block ${index} (at byte ${index * EBS_BLOCK_BYTES}) of ${what}`;
  const call = blockCall(aws, { doing, action: 'ebs:GetSnapshotBlock', snapshotId });
  const command = new GetSnapshotBlockCommand({
    SnapshotId: snapshotId,
    BlockIndex: index,
    BlockToken: token,
  });
  const send = () => aws.ebs.send(command, { abortSignal: signal });
  try {
    const answer = await askUntil(signal, call, () => aws.blockLimits.reads.run(send, signal));
    const bytes = Buffer.concat(await Array.fromAsync(answer.BlockData as AsyncIterable<Buffer>));
    return { bytes, isSound: hash('sha256', bytes, 'base64') === answer.Checksum };
  } catch (error) {
    if (awsCodeOf(error) === 'ValidationException' && !isLast) return null;
    throw error;
  }
}

function wholeBlock({ index, what, snapshotId }: Reading, bytes: Buffer): Buffer {
  if (bytes.length === EBS_BLOCK_BYTES) return bytes;
  throw new LandfallError({
    code: 'target-refused',
    message: `AWS answers ${bytes.length} bytes for block ${index} (at byte ${index * EBS_BLOCK_BYTES}) of ${what} (${snapshotId}) instead of ${EBS_BLOCK_BYTES}. Try again; if it stays so, ask AWS about the snapshot.`,
    context: { snapshotId, index },
  });
}
