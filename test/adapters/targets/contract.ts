/**
 * What every target promises (the `Target` port), as tests that each adapter runs against its own ground: real requests
 * to a look-alike or to the cloud itself. Deaths are simulated at every write to the ledger; what the target then holds
 * is counted by a client of the ground, never by the adapter.
 */
import { hash, randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { crc32, crc32ToHex } from '../../../src/blocks/crc32.ts';
import { LandfallError } from '../../../src/domain/errors.ts';
import type { UploadForm } from '../../../src/domain/image.ts';
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
  createDeaths,
  DISK_BYTES,
  discardAll,
  finish,
  IMPORT_TIMEOUT_MS,
  makeDisk,
  type Payload,
  partsOf,
  piecesOf,
  removeAll,
  survive,
  untilDone,
  uploadAll,
  writePiece,
  writePieces,
} from './drive-target.ts';
import type { TargetGround } from './ground.ts';
import { machineWith, plannedWith } from './machines.ts';

const MIB = 2 ** 20;

/** `transport`: as which the ground's disks go up; a target with two ways is described once for each. */
export type DescribedTarget = {
  name: string;
  transport: UploadForm['kind'];
  openGround: () => Promise<TargetGround>;
};

export function describeTarget({ name, transport, openGround }: DescribedTarget): void {
  describe(`target ${name}`, () => {
    let ground: TargetGround;
    let target: Target;
    let folder: string;
    let form: UploadForm;
    let content: Buffer;
    let disk: Payload;
    const uploadOf = (payload: Payload, diskId = '0'): UploadRequest => ({
      machine: machineWith({ diskCount: 2 }),
      disk: diskId,
      diskBytes: DISK_BYTES,
      to: ground.to,
      form,
      contentId: hash('sha256', payload),
      maxFileBytes: payload.length,
    });

    beforeAll(async () => {
      folder = await mkdtemp(join(tmpdir(), 'landfall-target-'));
      ground = await openGround();
      target = create(ground, ground.options);
      form = target.uploadForm({ bytes: DISK_BYTES, to: ground.to });
      ({ content, payload: disk } = await makeDisk(folder, form));
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
      test('takes the form that the target asked for', async () => {
        expect(form.kind).toBe(transport);
        const context = contextOf('upload-form');
        const sink = await target.openUpload(uploadOf(disk), context);
        expect(sink.kind).toBe(transport);
        if (sink.kind === 'blocks') expect(sink.offeredAtOnce).toBeGreaterThan(0);
        await removeAll(target, 'upload-form');
      });

      test('goes on where another worker was killed, and finishes once', async () => {
        const state = createDurableState();
        const first = await target.openUpload(uploadOf(disk), contextOf('upload-resume', { state }));
        expect(first.finished).toBeNull();
        const pieces = piecesOf(first, disk);
        expect(pieces.length).toBeGreaterThanOrEqual(2);
        const half = Math.floor(pieces.length / 2);
        await writePieces(first, disk, pieces.slice(0, half));

        const second = await target.openUpload(uploadOf(disk), contextOf('upload-resume', { state }));
        expect(second.id).toBe(first.id);
        if (second.kind === 'parts') {
          expect([...second.held.keys()].sort((a, b) => a - b)).toEqual(pieces.slice(0, half));
          const sent = partsOf(second, disk);
          for (const [number, { bytes, crc32 }] of second.held) {
            expect(bytes).toBe(sent[number - 1]?.bytes);
            if (crc32 !== null) expect(crc32).toBe(sent[number - 1]?.crc32);
          }
        }
        await writePieces(second, disk, pieces.slice(half).reverse());
        const artifact = await finish(second, disk);
        expect(artifact).toMatchObject({
          disk: '0',
          container: form.kind === 'parts' ? form.container : null,
        });
        if (form.kind === 'parts') expect(artifact.bytes).toBe(disk.length);
        for (const { algorithm, value, isConfirmed } of artifact.digests) {
          if (algorithm !== 'crc32') continue;
          expect(value).toBe(crc32ToHex(crc32(disk)));
          expect(isConfirmed).toBe(true);
        }
        expect(await finish(second, disk)).toEqual(artifact);

        const third = await target.openUpload(uploadOf(disk), contextOf('upload-resume', { state }));
        expect(third.finished?.ref).toEqual(artifact.ref);
        expect(third.finished?.digests).toEqual(artifact.digests);
        await removeAll(target, 'upload-resume');
      });

      test('takes pieces again, and at once', async () => {
        const sink = await target.openUpload(uploadOf(disk), contextOf('upload-again'));
        const pieces = piecesOf(sink, disk);
        await Promise.all([...pieces, ...pieces].map((piece) => writePiece(sink, disk, piece)));
        await expect(finish(sink, disk)).resolves.toMatchObject({ disk: '0' });
        await removeAll(target, 'upload-again');
      });

      test('refuses a piece that is not what its checksum says, and a whole that is not what was sent', async () => {
        const sink = await target.openUpload(uploadOf(disk), contextOf('upload-crc'));
        const pieces = piecesOf(sink, disk);
        const damaged = writePiece(sink, disk, pieces[0] as number, { isDamaged: true });
        await expect(damaged).rejects.toBeInstanceOf(LandfallError);
        await writePieces(sink, disk, pieces);
        await expect(finish(sink, disk, { isWrong: true })).rejects.toBeInstanceOf(LandfallError);
        await expect(finish(sink, disk)).resolves.toMatchObject({ disk: '0' });
        await removeAll(target, 'upload-crc');
      });

      test('begins anew where the content is another, finished or not, and leaves nothing of the old', async () => {
        const state = createDurableState();
        const contextNow = (): FakeStepContext => contextOf('upload-changed', { state });
        const other = { ...uploadOf(disk), contentId: 'another state of the disk' };
        const third = { ...uploadOf(disk), contentId: 'a third' };
        const old = await target.openUpload(uploadOf(disk), contextNow());
        await writePiece(old, disk, piecesOf(old, disk)[0] as number);
        const changed = await target.openUpload(other, contextNow());
        expect(changed.id).not.toBe(old.id);
        if (changed.kind === 'parts') expect(changed.held.size).toBe(0);
        await writePieces(changed, disk, piecesOf(changed, disk));
        const artifact = await finish(changed, disk);
        const again = await target.openUpload(third, contextNow());
        expect(again.finished).toBeNull();
        await writePieces(again, disk, piecesOf(again, disk));
        expect((await finish(again, disk)).ref).not.toEqual(artifact.ref);
        expect(await target.findTagged('upload-changed', AbortSignal.timeout(30_000))).toHaveLength(1);
        await removeAll(target, 'upload-changed');
      });

      test('an attempt that wakes after its successor began writes and finishes nothing', async () => {
        const state = createDurableState();
        const lease = new AbortController();
        const zombieContext = contextOf('upload-zombie', { state, signal: lease.signal });
        const zombie = await target.openUpload(uploadOf(disk), zombieContext);
        const pieces = piecesOf(zombie, disk);
        await writePieces(zombie, disk, pieces);
        const successor = await target.openUpload(uploadOf(disk), contextOf('upload-zombie', { state }));
        zombieContext.loseLease();
        // The ledger refuses it even before its signal told it.
        await expect(finish(zombie, disk)).rejects.toMatchObject({ code: 'lease-lost' });
        lease.abort();
        const late = writePiece(zombie, disk, pieces[0] as number);
        await expect(late).rejects.toMatchObject({ code: 'cancelled' });
        await writePieces(successor, disk, pieces);
        await expect(finish(successor, disk)).resolves.toMatchObject({ disk: '0' });
        await removeAll(target, 'upload-zombie');
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
        expect(artifact.disk).toBe('0');
        expect(await target.findTagged(run, AbortSignal.timeout(30_000))).toHaveLength(1);
        await removeAll(target, run);
      });

      test('stops when its signal aborts', async () => {
        const sink = await target.openUpload(uploadOf(disk), contextOf('upload-abort'));
        const write = writePiece(sink, disk, piecesOf(sink, disk)[0] as number, {
          signal: AbortSignal.abort(),
        });
        await expect(write).rejects.toMatchObject({ code: 'cancelled' });
        await removeAll(target, 'upload-abort');
      });

      test('is removed by discard whether it was finished or not', async () => {
        const open = contextOf('upload-discard', { machine: 'open' });
        const sink = await target.openUpload(uploadOf(disk), open);
        await writePiece(sink, disk, piecesOf(sink, disk)[0] as number);
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

      test(
        'is read back as what was uploaded, whatever the guest wrote since',
        async () => {
          const signal = AbortSignal.timeout(IMPORT_TIMEOUT_MS);
          const request = { landing, machine: machineWith({ diskCount: 2 }), disk: '1' };
          await using landed = await target.openLanded(request, signal);
          if (landed === null) throw new Error('the disk was not opened');
          const back = Buffer.alloc(landed.bytes);
          let last = -1;
          for await (const index of landed.heldBlocks(signal)) {
            expect(index).toBeGreaterThan(last);
            last = index;
            back.set(await landed.readBlock(index, signal), index * landed.blockBytes);
          }
          expect(last).toBeGreaterThan(0);
          expect(back.subarray(0, content.length).equals(content)).toBe(true);
          expect(back.subarray(content.length).every((byte) => byte === 0)).toBe(true);
        },
        IMPORT_TIMEOUT_MS,
      );

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

      // What goes up as blocks is a disk already, whatever is in them.
      test.runIf(transport === 'parts')(
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
