import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { getPriority } from 'node:os';
import { promisify } from 'node:util';
import { inflateSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { crc32 } from '../../src/blocks/crc32.ts';
import { BLOCK_BYTES } from '../../src/blocks/stream-encoder.ts';
import { openBlockPacker } from '../../src/images/block-packer.ts';
import type { DeflaterName } from '../../src/images/deflate.ts';
import { makeBlock } from './encoded-disk.ts';

const run = promisify(execFile);
const MODULE = new URL('../../src/images/block-packer.ts', import.meta.url).href;
const GRAIN = 65_536;
const diskBytes = 100 * BLOCK_BYTES + 512;
const vmdk = { container: 'vmdk-stream-optimized', diskBytes, threads: 2 } as const;

const bufferOf = (block: Buffer): ArrayBuffer => new Uint8Array(block).buffer;
const sha256Of = (block: Uint8Array) => createHash('sha256').update(block).digest('hex');
const hex = (bytes: Uint8Array | null) => (bytes === null ? null : Buffer.from(bytes).toString('hex'));

describe('openBlockPacker', () => {
  it('deflates each grain that holds data behind its place and size, and gives the content back', async () => {
    await using packer = await openBlockPacker(vmdk);
    const block = makeBlock('gaps', 7);
    const { packed, content } = await packer.pack({ index: 9, content: bufferOf(block) });
    expect(Buffer.from(content).equals(block)).toBe(true);
    expect(hex(packed.sha256)).toBe(sha256Of(block));
    expect(packed.crc32).toBe(crc32(packed.bytes));
    expect(packed.pieceBytes.map((lengthBytes) => lengthBytes > 0)).toEqual(
      [0, 1, 0, 1, 0, 0, 0, 0].map(Boolean),
    );
    let at = 0;
    for (const [grain, lengthBytes] of packed.pieceBytes.entries()) {
      if (lengthBytes === 0) continue;
      const piece = Buffer.from(packed.bytes.subarray(at, at + lengthBytes));
      expect(lengthBytes % 512).toBe(0);
      expect(piece.readBigUInt64LE(0)).toBe(BigInt((9 * BLOCK_BYTES + grain * GRAIN) / 512));
      const endBytes = 12 + piece.readUInt32LE(8);
      const grainBytes = block.subarray(grain * GRAIN, (grain + 1) * GRAIN);
      expect(inflateSync(piece.subarray(12, endBytes)).equals(grainBytes)).toBe(true);
      expect(piece.subarray(endBytes).every((byte) => byte === 0)).toBe(true);
      at += lengthBytes;
    }
    expect(at).toBe(packed.bytes.length);
  });

  it.each(['raw', 'vhd-fixed'] as const)(
    'leaves the content as it is for %s, cut to the disk',
    async (container) => {
      await using packer = await openBlockPacker({ container, diskBytes, threads: 1 });
      const block = makeBlock('noise', 1);
      const whole = await packer.pack({ index: 0, content: bufferOf(block) });
      expect(Buffer.from(whole.packed.bytes).equals(block)).toBe(true);
      expect(whole.content.byteLength).toBe(BLOCK_BYTES);
      const last = Buffer.concat([block.subarray(0, 512), Buffer.alloc(BLOCK_BYTES - 512)]);
      const { packed } = await packer.pack({ index: 100, content: bufferOf(last) });
      expect(Buffer.from(packed.bytes).equals(block.subarray(0, 512))).toBe(true);
      expect(packed.crc32).toBe(crc32(block.subarray(0, 512)));
      // The digest is of the padded block, whatever the format cuts off.
      expect(hex(packed.sha256)).toBe(sha256Of(last));
    },
  );

  it('knows blocks of zeros', async () => {
    await using packer = await openBlockPacker(vmdk);
    const { packed, content } = await packer.pack({ index: 3, content: new ArrayBuffer(BLOCK_BYTES) });
    expect(packed).toEqual({ index: 3, sha256: null, bytes: new Uint8Array(0), crc32: 0, pieceBytes: [] });
    expect(content.byteLength).toBe(BLOCK_BYTES);
  });

  it('gives each of many blocks its own answer, and uses memory again that was released', async () => {
    await using packer = await openBlockPacker(vmdk);
    const blocks = Array.from({ length: 12 }, (_, index) =>
      makeBlock(index % 3 === 0 ? 'noise' : 'text', index),
    );
    for (let round = 0; round < 3; round += 1) {
      const answers = await Promise.all(
        blocks.map((block, index) => packer.pack({ index, content: bufferOf(block) })),
      );
      const found = answers.map(({ packed }) => [packed.index, hex(packed.sha256), crc32(packed.bytes)]);
      const wanted = answers.map(({ packed }, index) => [
        index,
        sha256Of(blocks[index] as Buffer),
        packed.crc32,
      ]);
      expect(found).toEqual(wanted);
      for (const { packed } of answers) packed.release?.();
      if (round === 2) continue;
      const again = await packer.pack({ index: 0, content: bufferOf(blocks[0] as Buffer) });
      // What was released is handed to a thread: nobody can read it by mistake.
      expect(answers.some(({ packed }) => packed.bytes.length === 0)).toBe(true);
      again.packed.release?.();
    }
  });

  it('leaves the event loop free', async () => {
    await using packer = await openBlockPacker(vmdk);
    const work = Array.from({ length: 100 }, () => bufferOf(randomBytes(BLOCK_BYTES)));
    // Of this thread only, whatever else the machine does meanwhile. Packing takes some 800 ms.
    const before = process.threadCpuUsage();
    await Promise.all(work.map((content, index) => packer.pack({ index, content })));
    const { user, system } = process.threadCpuUsage(before);
    expect((user + system) / 1000).toBeLessThan(100);
  });

  it('gives way to the event loop where there are too few cores', async () => {
    await using packer = await openBlockPacker({ ...vmdk, threads: 2 });
    const pack = (index: number) => packer.pack({ index, content: bufferOf(makeBlock('text', index)) });
    await Promise.all([0, 1, 2, 3].map(pack));
    const priorities = await Promise.all((await readdir('/proc/self/task')).map(priorityOf));
    expect(priorities.filter((priority) => priority === 10)).toHaveLength(2);
    expect(getPriority(process.pid)).toBe(0);
  });

  it('rejects what a thread had when it died, and everything after it', async () => {
    await using packer = await openBlockPacker({ ...vmdk, deflater: 'none' as DeflaterName });
    const failure = { code: 'internal', retryable: true, message: expect.stringContaining('deflater') };
    const packs = [0, 1, 2, 3].map((index) =>
      packer.pack({ index, content: bufferOf(makeBlock('text', index)) }),
    );
    for (const result of await Promise.allSettled(packs))
      expect(result).toMatchObject({ status: 'rejected', reason: failure });
    const later = packer.pack({ index: 0, content: new ArrayBuffer(BLOCK_BYTES) });
    await expect(later).rejects.toMatchObject(failure);
  });

  it('rejects what is under way when it is closed, and may be closed twice', async () => {
    const packer = await openBlockPacker(vmdk);
    // Some 200 ms of work for each thread: the last of it cannot be done when they end.
    const packs = Array.from({ length: 50 }, (_, index) =>
      packer.pack({ index, content: bufferOf(makeBlock('noise', index)) }),
    );
    const settled = Promise.allSettled(packs);
    await packer[Symbol.asyncDispose]();
    expect((await settled).at(-1)).toMatchObject({ status: 'rejected', reason: { code: 'cancelled' } });
    await packer[Symbol.asyncDispose]();
  });

  it('may be closed at any moment, also while its threads load native code', async () => {
    const script = `
      const { openBlockPacker } = await import(${JSON.stringify(MODULE)});
      const { setTimeout } = await import('node:timers/promises');
      for (let round = 0; round < 60; round += 1) {
        const packer = await openBlockPacker(${JSON.stringify(vmdk)});
        const packs = Array.from({ length: 8 }, (_, index) =>
          packer.pack({ index, content: new Uint8Array(${BLOCK_BYTES}).fill(index + 1).buffer }));
        const settled = Promise.allSettled(packs);
        await setTimeout((round * 7) % 40);
        await packer[Symbol.asyncDispose]();
        await settled;
      }
    `;
    const { stderr } = await run(process.execPath, ['--input-type=module', '-e', script]);
    expect(stderr).toBe('');
  });

  it('shares the threads of the process with other packers, in whatever format, until the last is closed', async () => {
    const threadCount = () =>
      process.getActiveResourcesInfo().filter((name) => name === 'MessagePort').length;
    const before = threadCount();
    const one = await openBlockPacker({ container: 'vmdk-stream-optimized', diskBytes });
    const started = threadCount();
    expect(started).toBeGreaterThan(before);
    const other = await openBlockPacker({ container: 'raw', diskBytes });
    expect(threadCount()).toBe(started);
    const block = makeBlock('text', 1);
    const closed = one.pack({ index: 1, content: bufferOf(block) });
    const rejected = expect(closed).rejects.toMatchObject({ code: 'cancelled' });
    await one[Symbol.asyncDispose]();
    await rejected;
    const { packed } = await other.pack({ index: 1, content: bufferOf(block) });
    expect(Buffer.from(packed.bytes).equals(block)).toBe(true);
    await other[Symbol.asyncDispose]();
    expect(threadCount()).toBe(before);
  });

  it('starts new threads for those who come after a thread died', async () => {
    const deflater = 'none' as DeflaterName;
    await using dying = await openBlockPacker({ container: 'vmdk-stream-optimized', diskBytes, deflater });
    const work = { index: 1, content: bufferOf(makeBlock('text', 1)) };
    await expect(dying.pack(work)).rejects.toMatchObject({ code: 'internal', retryable: true });
    await using next = await openBlockPacker({ container: 'raw', diskBytes });
    const { packed } = await next.pack({ index: 1, content: bufferOf(makeBlock('text', 1)) });
    expect(packed.bytes.length).toBe(BLOCK_BYTES);
  });

  it('refuses what is no block of the disk', async () => {
    await using packer = await openBlockPacker({ ...vmdk, threads: 1 });
    const content = new ArrayBuffer(BLOCK_BYTES);
    await expect(packer.pack({ index: 101, content })).rejects.toThrow(RangeError);
    await expect(packer.pack({ index: 0, content: new ArrayBuffer(4096) })).rejects.toThrow(RangeError);
    expect(content.byteLength).toBe(BLOCK_BYTES);
  });

  it('lets the process end once it is closed', async () => {
    const script = `
      const { openBlockPacker } = await import(${JSON.stringify(MODULE)});
      const packer = await openBlockPacker(${JSON.stringify(vmdk)});
      await packer.pack({ index: 0, content: new ArrayBuffer(${BLOCK_BYTES}) });
      await packer[Symbol.asyncDispose]();
      console.log('closed');
    `;
    const { stdout, stderr } = await run(process.execPath, ['--input-type=module', '-e', script], {
      timeout: 20_000,
    });
    expect({ stdout, stderr }).toEqual({ stdout: 'closed\n', stderr: '' });
  });
});

/** proc(5): fields after the name, which may hold spaces; this is the 17th of them. */
async function priorityOf(thread: string): Promise<number> {
  const stat = await readFile(`/proc/self/task/${thread}/stat`, 'utf8');
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[16]);
}
