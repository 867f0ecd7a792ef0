import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BLOCK_BYTES, type Chunk, type PackedBlock } from '../../src/blocks/stream-encoder.ts';
import { openBlockPacker } from '../../src/images/block-packer.ts';
import { inspectHeader } from '../../src/images/header-guard.ts';
import { createVmdkEncoder, maxVmdkBytes } from '../../src/images/vmdk-encoder.ts';
import { runTool } from '../../src/processes/child.ts';
import { encode, makeContent, packContent, writeChunks, writeRawDisk } from './encoded-disk.ts';
import { openSampleFolder, type SampleFolder } from './sample-images.ts';

const MIB = 2 ** 20;
const TIB = 2 ** 40;
const identity = 'a disk';

let folder: SampleFolder;
beforeAll(async () => {
  folder = await openSampleFolder();
});
afterAll(() => folder[Symbol.asyncDispose]());

describe('createVmdkEncoder', () => {
  it('addresses data beyond 2 TiB of a sparse disk', async () => {
    const diskBytes = 3 * TIB + 512;
    const indexes = [0, 4_000_000, 5_000_001, diskBytes / BLOCK_BYTES].map(Math.floor);
    const content = makeContent(
      diskBytes,
      indexes.map((index) => [index, 'text']),
    );
    const raw = folder.join('sparse.raw');
    const made = folder.join('sparse.vmdk');
    await writeRawDisk(raw, diskBytes, content);
    const encoder = createVmdkEncoder({ diskBytes, identity });
    await writeChunks(made, encode(encoder, await pack(diskBytes, content), { isNew: true }));
    expect(encoder.lengthBytes).toBeLessThan(2 * MIB);
    await runTool({ command: 'qemu-img', args: ['check', '-f', 'vmdk', made] });
    // qemu-img looks at each of 50 million grains when it compares the whole.
    for (const index of indexes) {
      const at = Math.max(0, index * BLOCK_BYTES - MIB);
      const window = { offset: at, size: Math.min(4 * MIB, diskBytes - at) };
      const [left, right] = [
        describeWindow(window, { driver: 'raw', filename: raw }),
        describeWindow(window, { driver: 'vmdk', filename: made }),
      ];
      await runTool({ command: 'qemu-img', args: ['compare', left, right] });
    }
  });

  it('cuts the directory of the largest disk into chunks, and goes on between them', async () => {
    const diskBytes = 64 * TIB;
    const made = folder.join('largest.vmdk');
    const encoder = createVmdkEncoder({ diskBytes, identity });
    const chunks: Chunk[] = [...encoder.begin()];
    for (const chunk of encoder.end()) {
      chunks.push(chunk);
      if (chunks.length === 8) break;
    }
    const next = createVmdkEncoder({ diskBytes, identity, snapshot: encoder.snapshot() });
    chunks.push(...next.end());
    expect(Math.max(...chunks.map(({ bytes }) => bytes.length))).toBeLessThanOrEqual(MIB);
    await writeChunks(made, chunks);
    const { bytes } = await inspectHeader({ path: made, offsetBytes: 0, lengthBytes: null });
    expect(bytes).toBe(diskBytes);
    expect(next.lengthBytes).toBe(maxVmdkBytes({ diskBytes, dataBytes: 0 }));
  });

  it('holds its bound where nothing can be compressed', async () => {
    const diskBytes = 70 * MIB - 512;
    const content = makeContent(BLOCK_BYTES, [[0, 'noise']]);
    const [block] = (await pack(BLOCK_BYTES, content)) as [PackedBlock];
    const full = Array.from({ length: 140 }, (_, index) => ({ ...block, index }));
    const encoder = createVmdkEncoder({ diskBytes, identity });
    for (const _ of encode(encoder, full, { isNew: true }));
    const bound = maxVmdkBytes({ diskBytes, dataBytes: diskBytes });
    expect(encoder.lengthBytes).toBeLessThanOrEqual(bound);
    expect(encoder.lengthBytes).toBeGreaterThan(0.999 * bound);
  });

  it('fails before an offset of its file needs more than 32 bits', async () => {
    const diskBytes = 4 * TIB;
    const begun = createVmdkEncoder({ diskBytes, identity });
    for (const _ of begun.begin());
    const blocks = await pack(diskBytes, makeContent(diskBytes, [[5_000_000, 'noise']]));
    const near = (sectors: number) =>
      createVmdkEncoder({
        diskBytes,
        identity,
        snapshot: { ...begun.snapshot(), sector: 2 ** 32 - sectors },
      });
    const refusal = expect.objectContaining({
      code: 'target-refused',
      message: expect.stringContaining('2 TiB'),
    });
    expect(() => [...encode(near(1000), blocks, { isNew: false })]).toThrow(refusal);
    expect(() => [...encode(near(1036), blocks, { isNew: false })]).toThrow(refusal);
    // The block, its table, the marked directory and the footer.
    const needed = 8 * 129 + 5 + (1 + 1024) + 3;
    expect(() => [...encode(near(needed - 1), blocks, { isNew: false })]).toThrow(refusal);
    const fits = near(needed);
    for (const _ of encode(fits, blocks, { isNew: false }));
    expect(fits.lengthBytes).toBe(2 * TIB);
  });

  it('keeps a snapshot small where little was written', () => {
    const encoder = createVmdkEncoder({ diskBytes: 64 * TIB, identity });
    for (const _ of encoder.begin());
    expect(JSON.stringify(encoder.snapshot()).length).toBeLessThan(300);
  });

  it('names the same content id for one identity, and another for others', () => {
    const contentId = (name: string) => {
      const [head] = [...createVmdkEncoder({ diskBytes: MIB, identity: name }).begin()] as [Chunk];
      return /^CID=([0-9a-f]{8})$/m.exec(Buffer.from(head.bytes).toString('latin1'))?.[1];
    };
    expect(contentId('a')).toMatch(/^[0-7]/);
    expect(contentId('a')).toBe(contentId('a'));
    expect(contentId('a')).not.toBe(contentId('b'));
  });
});

async function pack(diskBytes: number, content: ReturnType<typeof makeContent>): Promise<PackedBlock[]> {
  await using packer = await openBlockPacker({ container: 'vmdk-stream-optimized', diskBytes, threads: 1 });
  return await packContent(packer, content);
}

function describeWindow(
  window: { offset: number; size: number },
  { driver, filename }: { driver: string; filename: string },
): string {
  const file = { driver, file: { driver: 'file', filename } };
  return `json:${JSON.stringify({ driver: 'raw', ...window, file })}`;
}
