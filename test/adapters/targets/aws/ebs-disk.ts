/** A disk of 40 blocks on its way into a snapshot of `plain-ebs`. */
import { hash, randomBytes } from 'node:crypto';
import { expect } from 'vitest';
import type { JsonObject } from '../../../../src/domain/json.ts';
import type { Artifact } from '../../../../src/domain/landing.ts';
import type { BlockSink, UploadRequest } from '../../../../src/domain/ports.ts';
import { machineWith } from '../machines.ts';
import { BLOCK_BYTES, contentOf, type HeldSnapshot, linearOf, type PlainEbs } from './plain-ebs.ts';

const GIB = 2 ** 30;
/** 40 blocks in a disk of 1 GiB and a bit: the last one is shorter than a block at the source. */
const DISK_BYTES = GIB + 1000;
export const BLOCKS = new Map(
  [...Array(39).keys(), 2048].map((index) => [index * (index === 2048 ? 1 : 3), padded(index)] as const),
);

export function requestOf(changes: Partial<UploadRequest> = {}): UploadRequest {
  const to: JsonObject = {};
  return {
    machine: machineWith(),
    disk: '0',
    diskBytes: DISK_BYTES,
    to,
    form: { kind: 'blocks', blockBytes: BLOCK_BYTES },
    contentId: 'content-1',
    maxFileBytes: DISK_BYTES,
    ...changes,
  };
}

export function write(sink: BlockSink, index: number): Promise<void> {
  const bytes = BLOCKS.get(index) as Buffer;
  return sink.writeBlock({ index, bytes, sha256: hash('sha256', bytes, 'buffer') }, soon());
}

export async function uploadAll(sink: BlockSink): Promise<Artifact> {
  await Promise.all([...BLOCKS.keys()].map((index) => write(sink, index)));
  return finish(sink);
}

export function finish(sink: BlockSink): Promise<Artifact> {
  return sink.finish({ blockCount: BLOCKS.size, linearSha256: linearOf(BLOCKS) });
}

export function onlySnapshot({ snapshots }: PlainEbs): HeldSnapshot {
  const [held] = snapshots.values();
  if (held === undefined) throw new Error('there is no snapshot');
  return held;
}

export function expectIdentical(ebs: PlainEbs): void {
  const held = onlySnapshot(ebs);
  expect(held.state).toBe('completed');
  const expected = { ...held, blocks: BLOCKS };
  expect(contentOf(held, DISK_BYTES).equals(contentOf(expected, DISK_BYTES))).toBe(true);
}

export function dropAnswers(name: string, times: number): PlainEbs['fault'] {
  let left = times;
  return (asked) => (asked === name && left-- > 0 ? 'drop-answer' : null);
}

export function soon(): AbortSignal {
  return AbortSignal.timeout(30_000);
}

/** The last block holds the 1000 bytes that are left of the disk. */
function padded(index: number): Buffer {
  const bytes = randomBytes(BLOCK_BYTES);
  return index === 2048 ? bytes.fill(0, 1000) : bytes;
}
