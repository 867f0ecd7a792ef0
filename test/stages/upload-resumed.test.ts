/** What a successor makes of what a killed attempt left. */
import { randomBytes } from 'node:crypto';
import { open, stat, utimes } from 'node:fs/promises';
import { setTimeout } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { BLOCK_BYTES } from '../../src/blocks/stream-encoder.ts';
import type { Artifact } from '../../src/domain/landing.ts';
import type { MachineRecord } from '../../src/domain/machine-record.ts';
import type { Progress } from '../../src/domain/ports.ts';
import { rootOf } from '../fakes/digest-root.ts';
import { createFakeEvidence } from '../fakes/evidence.ts';
import { createFakeSource } from '../fakes/source.ts';
import { createDurableState, type DurableState } from '../fakes/step-context.ts';
import { createFakeTarget } from '../fakes/target.ts';
import {
  attempt,
  content,
  DATA,
  dieAt,
  digest,
  evidence,
  FORMS,
  form,
  HOLE_BYTES,
  LENGTH,
  PART,
  path,
  record,
  standOnUploadGround,
  state,
  takeWritten,
  target,
  upload,
} from './upload-ground.ts';

describe.each(FORMS)('a disk in $kind, after an attempt that was killed,', (chosen) => {
  standOnUploadGround(chosen);

  it('goes on where a killed attempt stopped, and arrives identical', async () => {
    const held = await dieAt(form.kind === 'parts' ? 8 : 30);
    expect(held.length).toBeGreaterThan(4);
    const input = attempt();
    const artifact = await upload(input);
    const again = takeWritten();
    // At most what was under way: parts are sent four at once, and only an unbroken row of them counts.
    expect(again.filter((number) => held.includes(number)).length).toBeLessThanOrEqual(3);
    expect(again.length).toBeLessThan(form.kind === 'parts' ? 20 : DATA.length);
    expect(target.contentOf('0').equals(content)).toBe(true);
    expect(digest(artifact, 'sha256-tree')).toBe(await rootOf(content));
    expect(input.context.reports[0]?.doneBytes).toBeGreaterThan(0);
    expect(input.context.logs).toContainEqual(
      expect.objectContaining({ message: expect.stringMatching(/Upload of disk 0 goes on/) }),
    );
  });

  it('reports nothing that a successor would not find held', async () => {
    const input = attempt();
    const { report } = input.context;
    let killed: DurableState | null = null;
    let reportedBytes = 0;
    const look = (progress: Progress): void => {
      report(progress);
      if (killed !== null || progress.doneBytes < 4 * BLOCK_BYTES) return;
      killed = structuredClone(state);
      reportedBytes = progress.doneBytes;
    };
    target.beforeWrite = async () => {
      if (killed !== null) throw new Error('killed');
      await setTimeout(20);
    };
    const context = { ...input.context, report: look };
    await expect(upload({ ...input, context })).rejects.toThrow('killed');
    target.beforeWrite = async () => {};
    const successor = attempt({ state: killed ?? state });
    await upload(successor);
    expect(successor.context.reports[0]?.doneBytes).toBe(reportedBytes);
  });

  it('gives the same artifact as an upload that was never disturbed', async () => {
    await dieAt(4);
    await dieAt(9);
    const resumed = await upload(attempt());
    const undisturbed = createFakeTarget({ form, partBytes: PART });
    const other = attempt({
      target: undisturbed,
      state: createDurableState(),
      evidence: createFakeEvidence(),
    });
    expect(resumed).toEqual(await upload(other));
  });

  it('arrives whole when its checkpoints are lost', async () => {
    await dieAt(8);
    await upload(attempt({ state: createDurableState() }));
    expect(target.contentOf('0').equals(content)).toBe(true);
  });

  it('starts again, and says so, when the target let the upload expire', async () => {
    await dieAt(8);
    target.expire('0');
    takeWritten();
    const input = attempt();
    await upload(input);
    expect(takeWritten().length).toBe(form.kind === 'parts' ? 20 : DATA.length);
    expect(target.contentOf('0').equals(content)).toBe(true);
  });

  it('fails loudly where a sent block reads differently although the fingerprint is the same', async () => {
    await dieAt(8);
    const { atime, mtime } = await stat(path);
    await using file = await open(path, 'r+');
    await file.write(randomBytes(LENGTH - HOLE_BYTES - 16 * BLOCK_BYTES), 0);
    await utimes(path, atime, mtime);
    const source = createFakeSource({ machine: record.machine, images: record.images });
    source.fingerprint = async () => 'as ever';
    for (const [key, value] of state.checkpoints) {
      state.checkpoints.set(key, value.replace(/"contentId":"[^"]*"/, '"contentId":"as ever"'));
    }
    const held = target.uploads.get('0');
    if (held !== undefined) held.contentId = 'as ever';
    await expect(upload(attempt({ source }))).rejects.toMatchObject({
      code: 'source-changed',
      message: expect.stringMatching(/offset \d+/),
    });
    expect(target.finishes).toBe(0);
  });

  it('sends nothing that an earlier attempt finished, and gives the same artifact', async () => {
    const first = await upload(attempt());
    takeWritten();
    expect(await upload(attempt())).toEqual(first);
    expect(takeWritten()).toEqual([]);
    expect(target.finishes).toBe(1);
  });

  it('has all digests of what an earlier attempt finished, also where its checkpoints were lost', async () => {
    const first = await upload(attempt());
    const lost = attempt({ state: createDurableState(), evidence: createFakeEvidence() });
    expect(await upload(lost)).toEqual(first);
    expect(target.finishes).toBe(1);
  });

  it('has all digests also where Redis lost its last second under an attempt that lived on', async () => {
    target.afterWrite = async ({ number }) => {
      if (number !== 8) return;
      state.checkpoints.clear();
      state.checkpointBytes.clear();
    };
    await dieAt(16);
    target.afterWrite = async () => {};
    const artifact = await upload(attempt());
    expect(target.contentOf('0').equals(content)).toBe(true);
    expect(digest(artifact, 'sha256-tree')).toBe(await rootOf(content));
  });

  it('keeps the digests when it is killed between the target and the evidence', async () => {
    evidence.failure = new Error('killed');
    await expect(upload(attempt())).rejects.toThrow('killed');
    evidence.failure = null;
    takeWritten();
    const artifact = await upload(attempt());
    expect(takeWritten()).toEqual([]);
    expect(digest(artifact, 'sha256-tree')).toBe(await rootOf(content));
  });

  it('leaves no checkpoint behind where it was killed right after it was finished', async () => {
    const killed = attempt();
    const { openUpload } = target;
    target.openUpload = async (...request) => {
      const sink = await openUpload(...request);
      const finish = async (...all: Parameters<typeof sink.finish>): Promise<never> => {
        await (sink.finish as (...all: unknown[]) => Promise<Artifact>)(...all);
        throw new Error('killed');
      };
      return { ...sink, finish } as typeof sink;
    };
    await expect(upload(killed)).rejects.toThrow('killed');
    target.openUpload = openUpload;
    const artifact = await upload(attempt());
    expect(digest(artifact, 'sha256-tree')).toBe(await rootOf(content));
    const left = [...state.checkpoints.keys(), ...state.checkpointBytes.keys()];
    expect(left.filter((key) => key.includes('/upload/'))).toEqual([]);
  });

  it('says what to do about a run that another version began', async () => {
    const prepared = {
      '0': { container: 'raw', lengthBytes: LENGTH },
    } as unknown as MachineRecord['prepared'];
    const input = attempt({ record: { ...record, prepared } });
    await expect(upload(input)).rejects.toMatchObject({
      retryable: false,
      message: expect.stringContaining('`landfall discard`'),
    });
  });
});
