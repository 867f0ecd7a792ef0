/** What every source must do, whatever it reads from. Each adapter calls this over a ground of its own. */
import { readdir } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Image } from '../../../src/domain/image.ts';
import type { JsonObject } from '../../../src/domain/json.ts';
import type { Machine } from '../../../src/domain/machine.ts';
import type { Source } from '../../../src/domain/ports.ts';
import { createDurableState, createStepContext, type DurableState } from '../../fakes/step-context.ts';
import { compareImages } from '../../images/qemu-img.ts';

/** A source with one machine that is off. */
export type SourceGround = AsyncDisposable & {
  /** A new source over the same machines, as another worker would open it. */
  openSource(): Source;
  /** Selects the machine. */
  from: JsonObject;
  /** By disk id: a raw file with the bytes that the disk must have. */
  contents: Readonly<Record<string, string>>;
  /** Not there yet; the source makes it where it needs it. */
  stagingFolder: string;
  /** Changes what this image is read from, as somebody who writes to the source would. */
  disturb(image: Image): Promise<void>;
};

/** An abort must be felt within this, whatever the source was waiting for. */
const ABORT_MS = 5_000;

export function describeSourceContract(name: string, openGround: () => Promise<SourceGround>): void {
  describe(`the source contract: ${name}`, () => {
    let ground: SourceGround;
    let source: Source;
    let state: DurableState;
    const live = new AbortController().signal;

    beforeEach(async () => {
      ground = await openGround();
      source = ground.openSource();
      state = createDurableState();
    });
    afterEach(() => ground[Symbol.asyncDispose]());

    const context = (signal: AbortSignal = live) => createStepContext({ state, signal });

    async function onlyMachine(): Promise<Machine> {
      const found = await source.machines(ground.from, live);
      const [machine] = found;
      if (machine === undefined || found.length !== 1) throw new Error(`found ${found.length} machines`);
      return machine;
    }

    function exportDisk(machine: Machine, disk: string, by: Source = source, signal?: AbortSignal) {
      const { from, stagingFolder } = ground;
      return by.export({ from, machine, disk, pass: 0, stagingFolder }, context(signal));
    }

    it('describes the machine in plain data, the same each time, with one disk that boots', async () => {
      const machine = await onlyMachine();
      expect(JSON.parse(JSON.stringify(machine))).toEqual(machine);
      expect(await onlyMachine()).toEqual(machine);
      expect(await ground.openSource().machines(ground.from, live)).toEqual([machine]);
      expect(machine.disks.map(({ id }) => id)).toEqual(Object.keys(ground.contents));
      expect(machine.disks.filter(({ boots }) => boots)).toHaveLength(1);
      expect(machine.identity).not.toBe('');
      expect(machine.cpus).toBeGreaterThan(0);
      expect(machine.memoryBytes).toBeGreaterThan(0);
    });

    it('says that the machine is off', async () => {
      expect(await source.powerState(await onlyMachine(), live)).toBe('off');
    });

    it('exports every disk as plain data that another worker opens, byte by byte as at the source', async () => {
      const machine = await onlyMachine();
      for (const { id, bytes } of machine.disks) {
        const image = JSON.parse(JSON.stringify(await exportDisk(machine, id))) as Image;
        expect(image.bytes).toBe(bytes);
        await using opened = await ground.openSource().open(image, live);
        expect(opened.bytes).toBe(bytes);
        const reference = { path: ground.contents[id] ?? '', offsetBytes: 0, lengthBytes: null };
        const left = { format: 'raw', file: reference } as const;
        expect(await compareImages({ left, right: { uri: opened.uri }, signal: live })).toBe(true);
      }
    });

    it('exports the machine under whatever name its wave gives it', async () => {
      const machine = { ...(await onlyMachine()), name: 'renamed in its wave' };
      expect(await exportDisk(machine, '0')).toMatchObject({ bytes: machine.disks[0]?.bytes });
    });

    it('exports twice to the same image with the same fingerprint, also by another worker', async () => {
      const machine = await onlyMachine();
      for (const { id } of machine.disks) {
        const image = await exportDisk(machine, id);
        const fingerprint = await source.fingerprint(image);
        const other = ground.openSource();
        const again = await exportDisk(machine, id, other);
        expect(again).toEqual(image);
        expect(await other.fingerprint(again)).toBe(fingerprint);
      }
    });

    it('changes the fingerprint when somebody writes to the source', async () => {
      const machine = await onlyMachine();
      const image = await exportDisk(machine, '0');
      const before = await source.fingerprint(image);
      expect(await source.fingerprint(image)).toBe(before);
      await ground.disturb(image);
      expect(await source.fingerprint(image)).not.toBe(before);
    });

    it('serves one image to two readers at once', async () => {
      const machine = await onlyMachine();
      const image = await exportDisk(machine, '0');
      await using one = await source.open(image, live);
      await using other = await source.open(image, live);
      const request = { left: { uri: one.uri }, right: { uri: other.uri }, signal: live };
      expect(await compareImages(request)).toBe(true);
    });

    it('releases what it holds, any number of times, and leaves the source as it was', async () => {
      const machine = await onlyMachine();
      const request = { from: ground.from, machine };
      await source.release(request, context());
      for (const { id } of machine.disks) await exportDisk(machine, id);
      await source.release(request, context());
      await ground.openSource().release(request, context());
      expect(await readdir(ground.stagingFolder).catch(() => [])).toEqual([]);
      expect(await onlyMachine()).toEqual(machine);
      expect(await exportDisk(machine, '0')).toMatchObject({ bytes: machine.disks[0]?.bytes });
    });

    it('rejects soon after abort and leaves nothing that keeps the next attempt from working', async () => {
      const machine = await onlyMachine();
      const image = await exportDisk(machine, '0');
      const reason = new Error('the lease was lost');
      const gone = AbortSignal.abort(reason);
      const startedAt = performance.now();
      await expect(source.machines(ground.from, gone)).rejects.toBe(reason);
      await expect(exportDisk(machine, '0', source, gone)).rejects.toBe(reason);
      await expect(source.open(image, gone)).rejects.toBe(reason);
      const soon = new AbortController();
      const opening = source.open(image, soon.signal).then((opened) => opened[Symbol.asyncDispose]());
      setImmediate(() => soon.abort(reason));
      await opening.catch((error: unknown) => expect(error).toBe(reason));
      expect(performance.now() - startedAt).toBeLessThan(ABORT_MS);
      expect(await exportDisk(machine, '0')).toEqual(image);
    });
  });
}
