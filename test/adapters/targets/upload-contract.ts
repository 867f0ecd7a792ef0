/** What every target promises of uploads (the `PartSink` and `BlockSink` ports), called by the target contract. */
import { beforeAll, describe, expect, test } from 'vitest';
import { crc32, crc32ToHex } from '../../../src/blocks/crc32.ts';
import { LandfallError } from '../../../src/domain/errors.ts';
import type { UploadForm } from '../../../src/domain/image.ts';
import type { Target, UploadRequest } from '../../../src/domain/ports.ts';
import { createDurableState, type FakeStepContext } from '../../fakes/step-context.ts';
import {
  contextOf,
  createDeaths,
  discardAll,
  finish,
  type Payload,
  partsOf,
  piecesOf,
  removeAll,
  survive,
  uploadAll,
  writePiece,
  writePieces,
} from './drive-target.ts';

export type UploadStage = {
  target: Target;
  form: UploadForm;
  disk: Payload;
  uploadOf(payload: Payload, diskId?: string): UploadRequest;
  /** How many things one finished upload leaves at the target. One, where it is not said. */
  leaves?: number;
};

/**
 * What the other side does not do, which leaves out the promises that rest upon it: `checksums` (it checks none of those
 * that the engine hands over), `open-state` (it calls what is not finished finished). A look-alike by others may lack
 * them; Azure knows neither the SHA-256 of a block nor that of a whole disk.
 */
export type Lack = 'checksums' | 'open-state';

const WITHOUT: Readonly<Record<Lack, string>> = {
  checksums: 'the other side checks none of the checksums that the engine hands over',
  'open-state': 'the other side calls what is not finished finished',
};

/** `stage` is asked once the ground is open. */
export function describeUploads(
  transport: UploadForm['kind'],
  stage: () => UploadStage,
  lacks: readonly Lack[] = [],
): void {
  describe('upload', () => {
    let target: Target;
    let form: UploadForm;
    let disk: Payload;
    let uploadOf: UploadStage['uploadOf'];
    let leaves: number;
    beforeAll(() => {
      ({ target, form, disk, uploadOf, leaves = 1 } = stage());
    });

    test('takes the form that the target asked for', async () => {
      expect(form.kind).toBe(transport);
      const context = contextOf('upload-form');
      const sink = await target.openUpload(uploadOf(disk), context);
      expect(sink.kind).toBe(transport);
      if (sink.kind === 'blocks') expect(sink.offeredAtOnce).toBeGreaterThan(0);
      await removeAll(target, 'upload-form');
    });

    test('goes on where another worker was killed, and finishes once', async ({ skip }) => {
      skip(lacks.includes('open-state'), WITHOUT['open-state']);
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

    test('refuses a piece that is not what its checksum says, and a whole that is not what was sent', async ({
      skip,
    }) => {
      skip(lacks.includes('checksums'), WITHOUT.checksums);
      const sink = await target.openUpload(uploadOf(disk), contextOf('upload-crc'));
      const pieces = piecesOf(sink, disk);
      const damaged = writePiece(sink, disk, pieces[0] as number, { isDamaged: true });
      await expect(damaged).rejects.toBeInstanceOf(LandfallError);
      await writePieces(sink, disk, pieces);
      await expect(finish(sink, disk, { isWrong: true })).rejects.toBeInstanceOf(LandfallError);
      // Of blocks a target may give up the whole: what it holds cannot be listed.
      if (sink.kind === 'parts')
        await expect(finish(sink, disk)).resolves.toMatchObject({ bytes: disk.length });
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
      expect(await target.findTagged('upload-changed', AbortSignal.timeout(30_000))).toHaveLength(leaves);
      await removeAll(target, 'upload-changed');
    });

    test('an attempt that wakes after its successor began writes and finishes nothing', async ({ skip }) => {
      skip(lacks.includes('open-state'), WITHOUT['open-state']);
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
      expect(await target.findTagged(run, AbortSignal.timeout(30_000))).toHaveLength(leaves);
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
}
