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
import type { LandfallError } from '../../../src/domain/errors.ts';
import type { UploadForm } from '../../../src/domain/image.ts';
import type { JsonObject } from '../../../src/domain/json.ts';
import type { Artifact, Landing } from '../../../src/domain/landing.ts';
import type { Target, UploadRequest } from '../../../src/domain/ports.ts';
import { createDurableState, type DurableState, type FakeStepContext } from '../../fakes/step-context.ts';
import {
  contextOf,
  createDeaths,
  DISK_BYTES,
  discardAll,
  IMPORT_TIMEOUT_MS,
  makeDisk,
  type Payload,
  removeAll,
  survive,
  untilDone,
  uploadAll,
} from './drive-target.ts';
import type { TargetGround } from './ground.ts';
import { machineWith, plannedWith } from './machines.ts';
import { describeUploads, type Lack } from './upload-contract.ts';

const MIB = 2 ** 20;

/** `transport`: as which the ground's disks go up; a target with two ways is described once for each. */
export type DescribedTarget = {
  name: string;
  transport: UploadForm['kind'];
  openGround: () => Promise<TargetGround>;
  lacks?: readonly Lack[];
};

export function describeTarget({ name, transport, openGround, lacks = [] }: DescribedTarget): void {
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

    describeUploads(transport, () => ({ target, form, disk, uploadOf, leaves: ground.uploadLeaves }), lacks);

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
        expect(landing.address).toMatch(/^\d+(\.\d+){3}$/);
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
          // The target rounds sizes up: what is after the disk's end reads as zeros.
          expect(landed.bytes).toBeGreaterThanOrEqual(content.length);
          const back = Buffer.alloc(content.length);
          let last = -1;
          for await (const index of landed.heldBlocks(signal)) {
            expect(index).toBeGreaterThan(last);
            last = index;
            const block = Buffer.from(await landed.readBlock(index, signal));
            const offset = index * landed.blockBytes;
            if (offset < content.length) block.copy(back, offset);
            else expect(block.equals(Buffer.alloc(landed.blockBytes))).toBe(true);
          }
          expect(last).toBeGreaterThan(0);
          expect(back.equals(content)).toBe(true);
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

      const failsAnew = async (): Promise<void> => {
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
      };
      // What goes up as blocks is a disk already, whatever is in them.
      if (transport === 'parts')
        test('says why in words that help, and a retry is a new import', failsAnew, IMPORT_TIMEOUT_MS);

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
