/**
 * What every target promises (the `Target` port), as tests that each adapter runs against its own ground: real requests
 * to a look-alike or to the cloud itself. Deaths are simulated at every write to the ledger; what the target then holds
 * is counted by a client of the ground, never by the adapter.
 */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { crc32 } from '../../../src/blocks/crc32.ts';
import { LandfallError } from '../../../src/domain/errors.ts';
import type { JsonObject } from '../../../src/domain/json.ts';
import type { Artifact, Landing } from '../../../src/domain/landing.ts';
import type { Target, UploadRequest } from '../../../src/domain/ports.ts';
import {
  createDurableState,
  createStepContext,
  type DurableState,
  type FakeStepContext,
  type StepContextOptions,
} from '../../fakes/step-context.ts';
import {
  checksums,
  createDeaths,
  discardAll,
  IMPORT_TIMEOUT_MS,
  makeDisk,
  partOf,
  range,
  removeAll,
  survive,
  untilDone,
  uploadAll,
  writePart,
} from './drive-target.ts';
import type { TargetGround } from './ground.ts';
import { machineWith, plannedWith } from './machines.ts';

const MIB = 2 ** 20;

export function describeTarget(name: string, openGround: () => Promise<TargetGround>): void {
  describe(`target ${name}`, () => {
    let ground: TargetGround;
    let target: Target;
    let folder: string;
    let disk: Buffer;
    const uploadOf = (bytes: Buffer, diskId = '0'): UploadRequest => ({
      machine: machineWith({ diskCount: 2 }),
      disk: diskId,
      to: ground.to,
      container: ground.container,
      lengthBytes: bytes.length,
    });

    beforeAll(async () => {
      folder = await mkdtemp(join(tmpdir(), 'landfall-target-'));
      ground = await openGround();
      target = create(ground, ground.options);
      disk = await makeDisk(folder, ground.container);
    }, 60_000);
    afterAll(async () => {
      await ground[Symbol.asyncDispose]();
      await rm(folder, { recursive: true, force: true });
    }, 60_000);

    describe('pre-flight', () => {
      const signal = AbortSignal.timeout(60_000);

      test('finds nothing against a good wave', async () => {
        const findings = await target.preflight([plannedWith(ground.to)], signal);
        expect(findings.filter(({ level }) => level === 'fail')).toEqual([]);
        expect(findings.some(({ level }) => level === 'ok')).toBe(true);
      });

      test('finds what would stop a landing, and says what to do', async () => {
        for (const { options, to, traits, message, name: plan } of ground.refused) {
          const changed = create(ground, { ...ground.options, ...options });
          const planned = plannedWith({ ...ground.to, ...to }, traits);
          const findings = await changed.preflight([planned], signal);
          const failed = findings.filter(({ level }) => level === 'fail');
          expect(failed.map((finding) => finding.message).join('\n'), plan).toMatch(message);
          for (const { remedy } of failed) expect(remedy, plan).toBeTruthy();
        }
      }, 60_000);

      test('is over at once when it is cancelled', async () => {
        await expect(target.preflight([plannedWith(ground.to)], AbortSignal.abort())).rejects.toThrow();
      });
    });

    describe('upload', () => {
      test('goes on where another worker was killed, and finishes once', async () => {
        const state = createDurableState();
        const first = await target.openUpload(uploadOf(disk), contextOf('upload-resume', { state }));
        expect(first.finished).toBeNull();
        expect(first.partCount).toBeGreaterThanOrEqual(3);
        const half = Math.floor(first.partCount / 2);
        for (let number = 1; number <= half; number += 1) await writePart(first, disk, number);

        const context = contextOf('upload-resume', { state });
        const second = await target.openUpload(uploadOf(disk), context);
        expect([...second.held.keys()].sort((a, b) => a - b)).toEqual(range(half));
        for (const [number, part] of second.held) {
          expect(part.bytes).toBe(partOf(second, disk, number).length);
          if (part.crc32 !== null) expect(part.crc32).toBe(crc32(partOf(second, disk, number)));
        }
        for (let number = second.partCount; number > half; number -= 1) await writePart(second, disk, number);
        const artifact = await second.finish(checksums(second, disk));
        expect(artifact).toMatchObject({ disk: '0', container: ground.container, bytes: disk.length });
        for (const { algorithm, value, isConfirmed } of artifact.digests) {
          if (algorithm !== 'crc32') continue;
          expect(value).toBe(crc32(disk).toString(16).padStart(8, '0'));
          expect(isConfirmed).toBe(true);
        }
        expect(await second.finish(checksums(second, disk))).toEqual(artifact);

        const third = await target.openUpload(uploadOf(disk), contextOf('upload-resume', { state }));
        expect(third.finished?.ref).toEqual(artifact.ref);
        expect(third.finished?.digests).toEqual(artifact.digests);
        await removeAll(target, 'upload-resume');
      });

      test('refuses a part that is not what its checksum says, and takes the right one', async () => {
        const sink = await target.openUpload(uploadOf(disk), contextOf('upload-crc'));
        const bytes = partOf(sink, disk, 1);
        const signal = AbortSignal.timeout(30_000);
        const wrong = { number: 1, bytes, crc32: (crc32(bytes) ^ 1) >>> 0 };
        await expect(sink.writePart(wrong, signal)).rejects.toBeInstanceOf(LandfallError);
        for (let number = 1; number <= sink.partCount; number += 1) await writePart(sink, disk, number);
        const right = checksums(sink, disk);
        const swapped = [right[1] as number, right[0] as number, ...right.slice(2)];
        await expect(sink.finish(swapped)).rejects.toBeInstanceOf(LandfallError);
        await expect(sink.finish(right)).resolves.toMatchObject({ bytes: disk.length });
        await removeAll(target, 'upload-crc');
      });

      test('makes one upload even when it dies before each of its notes', async () => {
        const deaths = createDeaths();
        const run = 'upload-deaths';
        const state = createDurableState();
        const artifact = await survive(deaths, async () => {
          const context = contextOf(run, { state, onLedger: deaths.before });
          return uploadAll(target, uploadOf(disk), context, disk);
        });
        expect(deaths.count()).toBeGreaterThanOrEqual(3);
        expect(artifact.bytes).toBe(disk.length);
        expect(await target.findTagged(run, AbortSignal.timeout(30_000))).toHaveLength(1);
        await removeAll(target, run);
      });

      test('stops when its signal aborts', async () => {
        const sink = await target.openUpload(uploadOf(disk), contextOf('upload-abort'));
        const bytes = partOf(sink, disk, 1);
        const part = { number: 1, bytes, crc32: crc32(bytes) };
        await expect(sink.writePart(part, AbortSignal.abort())).rejects.toMatchObject({ code: 'cancelled' });
        await removeAll(target, 'upload-abort');
      });

      test('is removed by discard whether it was finished or not', async () => {
        const open = contextOf('upload-discard', { machine: 'open' });
        const sink = await target.openUpload(uploadOf(disk), open);
        await writePart(sink, disk, 1);
        const done = contextOf('upload-discard', { machine: 'done' });
        await uploadAll(target, uploadOf(disk), done, disk);
        await discardAll(target, open);
        await discardAll(target, done);
        expect(await target.findTagged('upload-discard', AbortSignal.timeout(30_000))).toEqual([]);
      });
    });

    describe('a landing', () => {
      const run = 'landing';
      const state = createDurableState();
      const context = (): FakeStepContext => contextOf(run, { state });
      let artifacts: Artifact[];
      let landing: Landing;
      let strangers: { stand(): Promise<boolean> };

      beforeAll(async () => {
        strangers = await ground.plantStrangers();
        artifacts = [];
        for (const id of ['0', '1'])
          artifacts.push(await uploadAll(target, uploadOf(disk, id), context(), disk));
      }, IMPORT_TIMEOUT_MS);

      test(
        'is made once, whenever the worker dies',
        async () => {
          const deaths = createDeaths();
          const request = { machine: machineWith({ diskCount: 2 }), to: ground.to, artifacts };
          landing = await survive(deaths, () =>
            untilDone(() => target.import(request, contextOf(run, { state, onLedger: deaths.before }))),
          );
          expect(deaths.count()).toBeGreaterThanOrEqual(8);
          expect(await ground.holdings(run)).toEqual(ground.landed);
        },
        IMPORT_TIMEOUT_MS,
      );

      test('is told the same when import is delivered again', async () => {
        const request = { machine: machineWith({ diskCount: 2 }), to: ground.to, artifacts };
        const again = await untilDone(() => target.import(request, context()));
        expect(again).toEqual(landing);
        expect(await ground.holdings(run)).toEqual(ground.landed);
      });

      test('is left alone by whoever acts for another run', async () => {
        const signal = AbortSignal.timeout(60_000);
        const things = await target.findTagged(run, signal);
        expect(things.length).toBeGreaterThan(2);
        for (const thing of things) {
          const removal = target.removeTagged(thing, 'landing-other', signal);
          // For the sake of the tag, not because something else still uses the thing.
          const message = expect.stringContaining('landing-other');
          await expect(removal, thing.kind).rejects.toMatchObject({ message });
        }
        expect(await ground.holdings(run)).toEqual(ground.landed);
      });

      test('is seen running', async () => {
        const observation = await target.observe(landing, context());
        expect(observation.state).toBe('running');
        expect(observation.checks.length).toBeGreaterThan(0);
        expect(observation.checks.every(({ state: one }) => one !== 'failed')).toBe(true);
        if (observation.screenshot !== null)
          expect([...observation.screenshot.subarray(0, 4)]).toEqual([0x89, 0x50, 0x4e, 0x47]);
      });

      test('is in service only after it was admitted, however often that is asked', async () => {
        expect(await ground.isAdmitted(landing)).toBe(false);
        const deaths = createDeaths();
        const admitted = await survive(deaths, () =>
          untilDone(() =>
            target.admit({ to: ground.to, landing }, contextOf(run, { state, onLedger: deaths.before })),
          ),
        );
        expect(admitted.id).toBe(landing.id);
        expect(await ground.isAdmitted(admitted)).toBe(true);
        const again = await untilDone(() => target.admit({ to: ground.to, landing: admitted }, context()));
        expect(again).toEqual(admitted);
      });

      test(
        'is removed by discard, twice, with all that was made for it and nothing else',
        async () => {
          await discardAll(target, context());
          expect(await ground.holdings(run)).toEqual({});
          expect(await target.findTagged(run, AbortSignal.timeout(30_000))).toEqual([]);
          for (const entry of (await context().ledger.entries()).reverse())
            await target.discard(entry, context());
          const observation = await target.observe(landing, context());
          expect(observation.state).toBe('gone');
          expect(await strangers.stand()).toBe(true);
        },
        IMPORT_TIMEOUT_MS,
      );

      test(
        'of which no note was kept is found by its tags and removed',
        async () => {
          const lost = 'landing-lost';
          const lostState = createDurableState();
          const request = await prepare(lost, lostState);
          await untilDone(() => target.import(request, contextOf(lost, { state: lostState })));
          expect(Object.keys(await ground.holdings(lost)).length).toBeGreaterThan(0);
          await removeAll(target, lost);
          expect(await ground.holdings(lost)).toEqual({});
          expect(await strangers.stand()).toBe(true);
        },
        IMPORT_TIMEOUT_MS,
      );

      test('is not removed in the name of another run', async () => {
        const theirs = contextOf('landing-theirs');
        await target.openUpload(uploadOf(disk), theirs);
        const [thing] = await target.findTagged('landing-theirs', AbortSignal.timeout(30_000));
        if (thing === undefined) throw new Error('the upload was not found');
        await expect(
          target.removeTagged(thing, 'landing-ours', AbortSignal.timeout(30_000)),
        ).rejects.toThrow();
        expect(await target.findTagged('landing-theirs', AbortSignal.timeout(30_000))).toEqual([thing]);
        await removeAll(target, 'landing-theirs');
      });

      async function prepare(
        name: string,
        durable: DurableState,
      ): Promise<{ machine: ReturnType<typeof machineWith>; to: JsonObject; artifacts: Artifact[] }> {
        const upload = contextOf(name, { state: durable });
        const artifact = await uploadAll(target, uploadOf(disk), upload, disk);
        return { machine: machineWith(), to: ground.to, artifacts: [artifact] };
      }
    });

    describe('an import that fails', () => {
      const run = 'import-failed';

      test(
        'says why in words that help, and a retry is a new import',
        async () => {
          const state = createDurableState();
          const garbage = randomBytes(6 * MIB);
          const artifact = await uploadAll(target, uploadOf(garbage), contextOf(run, { state }), garbage);
          const request = { machine: machineWith(), to: ground.to, artifacts: [artifact] };
          const attempt = (): Promise<Landing> =>
            untilDone(() => target.import(request, contextOf(run, { state })));
          const first = await attempt().catch((error: unknown) => error);
          expect(first).toMatchObject({ code: 'import-failed' });
          const tokens = (): string[] =>
            state.ledger.filter((entry) => entry.state === 'failed').map(({ token }) => token);
          expect(tokens()).toHaveLength(1);
          const second = await attempt().catch((error: unknown) => error);
          expect(second).toMatchObject({ code: 'import-failed' });
          expect((second as LandfallError).context).not.toEqual((first as LandfallError).context);
          expect(new Set(tokens()).size).toBe(2);
          expect([...state.slots.values()].every((holders) => holders.size === 0)).toBe(true);
          await discardAll(target, contextOf(run, { state }));
          expect(await target.findTagged(run, AbortSignal.timeout(30_000))).toEqual([]);
        },
        IMPORT_TIMEOUT_MS,
      );

      test('makes nothing for an attempt whose lease is gone', async () => {
        const state = createDurableState();
        const artifact = await uploadAll(target, uploadOf(disk), contextOf(run, { state }), disk);
        const before = await ground.holdings(run);
        const stale = contextOf(run, { state });
        stale.loseLease();
        const request = { machine: machineWith(), to: ground.to, artifacts: [artifact] };
        await expect(target.import(request, stale)).rejects.toMatchObject({ code: 'lease-lost' });
        expect(await ground.holdings(run)).toEqual(before);
        await discardAll(target, contextOf(run, { state }));
      });
    });
  });
}

function create(ground: TargetGround, options: JsonObject): Target {
  return ground.adapter.create(ground.adapter.options.parse(options), {
    waveFolder: tmpdir(),
    scratchFolder: tmpdir(),
    cacheFolder: tmpdir(),
  });
}

function contextOf(run: string, options: StepContextOptions = {}): FakeStepContext {
  return createStepContext({ run, signal: AbortSignal.timeout(IMPORT_TIMEOUT_MS), ...options });
}
