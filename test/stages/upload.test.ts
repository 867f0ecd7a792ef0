import { setTimeout } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { BLOCK_BYTES } from '../../src/blocks/stream-encoder.ts';
import { decodeCells } from '../../src/stages/disk-map.ts';
import { MAX_UNSAVED_PARTS } from '../../src/stages/upload-parts.ts';
import { rootOf } from '../fakes/digest-root.ts';
import {
  attempt,
  content,
  DATA,
  dieAt,
  digest,
  evidence,
  FORMS,
  HOLE_BYTES,
  LENGTH,
  PART,
  standOnUploadGround,
  state,
  takeWritten,
  target,
  upload,
} from './upload-ground.ts';

describe.each(FORMS)('a disk in $kind', (chosen) => {
  standOnUploadGround(chosen);

  it('arrives as it is, and its digests are kept with it', async () => {
    const artifact = await upload(attempt());
    expect(target.contentOf('0').equals(content)).toBe(true);
    expect(digest(artifact, 'sha256-tree')).toBe(await rootOf(content));
    expect(evidence.files.has('run-1/web01/disk-0.digests')).toBe(true);
    expect([...state.checkpoints.keys()].filter((key) => key.includes('/upload/'))).toEqual([]);
  });

  it('leaves a map that shows what was copied, and that the rest is zeros', async () => {
    await upload(attempt());
    const cells = decodeCells(state.checkpointBytes.get('run-1/web01/map/0') ?? Buffer.alloc(0), LENGTH);
    expect(cells?.flatMap(({ copied }, index) => (copied === 1 ? [index] : []))).toEqual(DATA);
    expect(cells?.every(({ copied, zero }) => copied + zero === 1)).toBe(true);
  });

  it('reports only what was acknowledged, never going back, holes apart', async () => {
    const input = attempt();
    await upload(input);
    const done = input.context.reports.map((report) => report.doneBytes);
    expect(done).toEqual([...done].sort((a, b) => a - b));
    expect(done[0]).toBe(0);
    const last = input.context.reports.at(-1);
    expect(last?.doneBytes).toBe(last?.totalBytes);
    expect(input.context.reports.every(({ doneBytes, totalBytes }) => doneBytes <= totalBytes)).toBe(true);
    expect(input.context.reports[0]?.zeroBytes).toBe(HOLE_BYTES);
    // And the last word forgets none of them.
    expect(last?.zeroBytes).toBe(input.context.reports.at(-2)?.zeroBytes);
  });
});

describe('parts', () => {
  standOnUploadGround({ kind: 'parts', container: 'raw' });

  it('lets no more parts overtake a slow one than a kill may cost', async () => {
    const begun = new Set<number>();
    const first = Promise.withResolvers<void>();
    target.beforeWrite = async ({ number }) => {
      begun.add(number);
      if (number === 1) await first.promise;
    };
    const uploading = upload(attempt());
    await expect.poll(() => begun.size).toBe(MAX_UNSAVED_PARTS);
    // As long as the parts so far took several times over: one more would have begun.
    await setTimeout(300);
    expect([...begun].sort((a, b) => a - b)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    first.resolve();
    await uploading;
    expect(target.contentOf('0').equals(content)).toBe(true);
  });

  it('are sent four at once', async () => {
    let inFlight = 0;
    let most = 0;
    target.beforeWrite = async () => {
      inFlight += 1;
      most = Math.max(most, inFlight);
      await setTimeout(10);
      inFlight -= 1;
    };
    await upload(attempt());
    expect(most).toBe(4);
  });

  it('are known by their checksum where the target gives equal bytes another ETag', async () => {
    const held = await dieAt(8);
    const { openUpload } = target;
    target.openUpload = async (...request) => {
      const sink = await openUpload(...request);
      if (sink.kind !== 'parts') return sink;
      const other = [...sink.held].map(
        ([number, part]) => [number, { ...part, etag: `kms-${number}` }] as const,
      );
      return { ...sink, held: new Map(other) };
    };
    await upload(attempt());
    const again = takeWritten();
    expect(again.filter((number) => held.includes(number)).length).toBeLessThanOrEqual(3);
    expect(target.contentOf('0').equals(content)).toBe(true);
  });

  it('are all sent again where one is not held as it was acknowledged', async () => {
    await dieAt(8);
    target.uploads.get('0')?.held.set(3, Buffer.alloc(PART, 1));
    const input = attempt();
    await upload(input);
    expect(takeWritten()).toContain(1);
    expect(input.context.logs).toContainEqual(
      expect.objectContaining({ message: expect.stringMatching(/starts again: part 3/) }),
    );
    expect(target.contentOf('0').equals(content)).toBe(true);
  });
});

describe('blocks', () => {
  standOnUploadGround({ kind: 'blocks', blockBytes: BLOCK_BYTES });

  it('of zeros are not sent, whether they are allocated or not', async () => {
    await upload(attempt());
    expect(takeWritten()).toEqual(DATA);
  });
});
