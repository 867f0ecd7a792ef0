/** A snapshot under way, open for blocks: its sparse file, and the log of what is in it. */
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import type { Ec2Files } from '../ec2/cloud.ts';
import type { Snapshot } from '../ec2/state.ts';
import { BLOCK_BYTES } from './block-file.ts';
import { type DigestLog, openDigestLog } from './digest-log.ts';
import { invalid } from './refusals.ts';

export type Block = {
  index: number;
  sha256: Buffer;
  /** The bytes as they came in, BLOCK_BYTES in all. */
  pieces: readonly Uint8Array[];
};

export type HeldSnapshot = {
  log: DigestLog;
  file: FileHandle;
  /** Resolves once the block survives the end of the process. Throws CONFLICTING_BLOCK_UPDATE. */
  write(block: Block): Promise<void>;
  /** Resolves when no write is under way. */
  idle(): Promise<void>;
  close(): Promise<void>;
  /** No more blocks are taken: it is being completed or discarded. */
  isClosed: boolean;
  touchedAt: number;
  progress: number;
};

/** Makes the files where there are none. Throws EFBIG where the file system has no files of the volume's size. */
export async function holdSnapshot(files: Ec2Files, { id, bytes, writing }: Snapshot): Promise<HeldSnapshot> {
  await using owned = new AsyncDisposableStack();
  const file = await open(files.partialSnapshot(id), constants.O_RDWR | constants.O_CREAT);
  owned.defer(() => file.close());
  await file.truncate(bytes);
  const log = await openDigestLog(files.blockLog(id));
  owned.defer(log.close);
  const resources = owned.move();
  const underWay = new Map<number, { sha256: Buffer; done: Promise<void> }>();

  const store = async ({ index, sha256, pieces }: Block): Promise<void> => {
    await writePieces({ file, pieces, position: index * BLOCK_BYTES });
    log.add(index, sha256);
  };
  const held: HeldSnapshot = {
    log,
    file,
    isClosed: false,
    touchedAt: writing?.touchedAt ?? 0,
    progress: writing?.progress ?? 0,
    async write(block) {
      const { index, sha256 } = block;
      if (log.get(index)?.equals(sha256) === true && !underWay.has(index)) return;
      const other = underWay.get(index);
      if (other !== undefined) {
        if (!other.sha256.equals(sha256)) throw conflictingUpdate(index);
        return other.done;
      }
      const done = store(block).finally(() => underWay.delete(index));
      underWay.set(index, { sha256, done });
      await done;
    },
    idle: async () => void (await Promise.allSettled([...underWay.values()].map(({ done }) => done))),
    async close() {
      held.isClosed = true;
      await held.idle();
      await resources.disposeAsync();
    },
  };
  return held;
}

async function writePieces({
  file,
  pieces,
  position,
}: {
  file: FileHandle;
  pieces: readonly Uint8Array[];
  position: number;
}): Promise<void> {
  const { bytesWritten } = await file.writev([...pieces], position);
  if (bytesWritten === BLOCK_BYTES) return;
  // Cut short by a full disk: what is left says why.
  const rest = Buffer.concat(pieces).subarray(bytesWritten);
  for (let at = 0; at < rest.length; ) {
    at += (await file.write(rest, at, rest.length - at, position + bytesWritten + at)).bytesWritten;
  }
}

function conflictingUpdate(index: number) {
  return invalid('CONFLICTING_BLOCK_UPDATE', `Block ${index} is being written with other data.`);
}
