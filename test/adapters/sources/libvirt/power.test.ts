import { utimes } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createLibvirtSource } from '../../../../adapters/sources/libvirt/source.ts';
import type { Machine } from '../../../../src/domain/machine.ts';
import type { Source, SourceControl } from '../../../../src/domain/ports.ts';
import { tryTool } from '../../../../src/processes/child.ts';
import { type OwnLibvirt, startLibvirt } from '../../../../tools/libvirt/libvirtd.ts';
import { createStepContext } from '../../../fakes/step-context.ts';
import { defineGuest, domainXml, fileDisk, type GuestKind, makeBootDisk, untilBooted } from './guests.ts';

const live = new AbortController().signal;
/** A guest of one sector needs none of it; a slow host some. */
const GRACE_MS = 15_000;

let libvirt: OwnLibvirt;
let source: Source;
let control: SourceControl;

beforeAll(async () => {
  libvirt = await startLibvirt();
  source = createLibvirtSource({ uri: libvirt.uri, backingFolders: [] });
  if (source.control === undefined) throw new Error('the source controls nothing');
  control = source.control;
});
afterAll(() => libvirt[Symbol.asyncDispose]());

async function define(name: string, kind?: GuestKind, devices?: string): Promise<Machine & { path: string }> {
  const { path } = await defineGuest(libvirt, {
    name,
    ...(kind === undefined ? {} : { kind }),
    ...(devices === undefined ? {} : { devices }),
  });
  const [machine] = await source.machines({ name }, live);
  if (machine === undefined) throw new Error(`${name} is not there`);
  return { ...machine, path };
}

/** As a cutover does: asks, and believes only the state. */
async function shutDown(machine: Machine): Promise<void> {
  await control.requestShutDown(machine, live);
  const state = () => source.powerState(machine, live);
  await expect.poll(state, { timeout: GRACE_MS, interval: 100 }).toBe('off');
}

const uuidOf = (machine: Machine) => machine.uuid ?? '';
const exportDisk = (machine: Machine) =>
  source.export({ from: {}, machine, disk: '0', pass: 0, stagingFolder: '/nowhere' }, createStepContext());

describe('a cutover and its rollback', () => {
  it('turns a running guest off by its power button, finds it off again, and turns it on', async () => {
    const machine = await define('web01');
    await control.powerOn(machine, live);
    expect(await source.powerState(machine, live)).toBe('on');
    await untilBooted(libvirt, uuidOf(machine));
    await shutDown(machine);
    await control.requestShutDown(machine, live);
    await control.cutOff(machine, live);
    expect(await source.powerState(machine, live)).toBe('off');
    await control.powerOn(machine, live);
    await control.powerOn(machine, live);
    expect(await source.powerState(machine, live)).toBe('on');
  });

  it('presses the button where the domain has a channel for an agent that nobody answers', async () => {
    const channel = `<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>`;
    const machine = await define('agent01', 'obedient', channel);
    await control.powerOn(machine, live);
    await untilBooted(libvirt, uuidOf(machine));
    await shutDown(machine);
  });

  it('returns at once from a guest that ignores it, and cuts it off where told', async () => {
    const machine = await define('stubborn', 'stubborn');
    await control.powerOn(machine, live);
    await untilBooted(libvirt, uuidOf(machine));
    await control.requestShutDown(machine, live);
    await control.requestShutDown(machine, live);
    expect(await source.powerState(machine, live)).toBe('on');
    await control.cutOff(machine, live);
    expect(await source.powerState(machine, live)).toBe('off');
  });

  it('does nothing for whoever gave up', async () => {
    const machine = await define('aborted', 'stubborn');
    await control.powerOn(machine, live);
    const reason = new Error('the lease was lost');
    const gone = AbortSignal.abort(reason);
    await expect(control.requestShutDown(machine, gone)).rejects.toBe(reason);
    await expect(control.cutOff(machine, gone)).rejects.toBe(reason);
    await expect(control.powerOn(machine, gone)).rejects.toBe(reason);
    expect(await source.powerState(machine, live)).toBe('on');
    await control.cutOff(machine, live);
  });

  it('keeps a guest off with its host and puts that back', async () => {
    const machine = await define('auto01');
    await libvirt.virsh('autostart', 'auto01');
    expect(await control.isAutostarted(machine, live)).toBe(true);
    await control.setAutostart(machine, false, live);
    await control.setAutostart(machine, false, live);
    expect(await libvirt.virsh('list', '--all', '--name', '--autostart')).not.toContain('auto01');
    await control.setAutostart(machine, true, live);
    expect(await control.isAutostarted(machine, live)).toBe(true);
    expect(await libvirt.virsh('list', '--all', '--name', '--autostart')).toContain('auto01');
  });

  it.each(['off', 'on'])('leaves a note on a domain that is %s, and takes it away', async (power) => {
    const machine = await define(`noted-${power}`);
    await libvirt.virsh('desc', machine.name, '--config', 'ours; ask Ann');
    if (power === 'on') await control.powerOn(machine, live);
    const before = await libvirt.virsh('dumpxml', '--inactive', machine.name);
    expect(await control.readNote(machine, live)).toBeNull();
    const note = 'landfall run <r1> & "more"\nmoved to AWS';
    await control.writeNote(machine, note, live);
    await control.writeNote(machine, note, live);
    expect(await control.readNote(machine, live)).toBe('landfall run <r1> & "more" moved to AWS');
    expect(await libvirt.virsh('desc', machine.name, '--config')).toContain('ours; ask Ann');
    await control.writeNote(machine, null, live);
    await control.writeNote(machine, null, live);
    expect(await control.readNote(machine, live)).toBeNull();
    const after = await libvirt.virsh('dumpxml', '--inactive', machine.name);
    expect(after.replace('  <metadata/>\n', '')).toBe(before);
  });

  it('says what holds the disks of a guest that does not start', async () => {
    const { path: raw } = await define('held');
    const path = `${raw}.qcow2`;
    await tryTool({ command: 'qemu-img', args: ['convert', '-f', 'raw', '-O', 'qcow2', raw, path] });
    await libvirt.give(path);
    const disks = fileDisk({ path, format: 'qcow2', target: 'vda' });
    await libvirt.define(domainXml({ name: 'held-qcow2', disks }));
    const [machine] = await source.machines({ name: 'held-qcow2' }, live);
    if (machine === undefined) throw new Error('held-qcow2 is not there');
    {
      await using opened = await source.open(await exportDisk(machine), live);
      expect(opened.bytes).toBeGreaterThan(0);
      await expect(control.powerOn(machine, live)).rejects.toMatchObject({ code: 'conflict' });
    }
    await control.powerOn(machine, live);
    await expect(exportDisk(machine)).rejects.toMatchObject({ code: 'source-not-off' });
  });
});

describe('a machine that is not as it should be', () => {
  it('is refused while it runs, and seen to have been started under a copy', async () => {
    const machine = await define('restarted');
    const image = await exportDisk(machine);
    const before = await source.fingerprint(image);
    expect(await source.fingerprint(image)).toBe(before);
    await control.powerOn(machine, live);
    const first = await source.fingerprint(image);
    expect(first).not.toBe(before);
    await expect(exportDisk(machine)).rejects.toMatchObject({ code: 'source-not-off' });
    await expect(source.open(image, live)).rejects.toMatchObject({ code: 'source-not-off' });
    await untilBooted(libvirt, uuidOf(machine));
    await shutDown(machine);
    // Off again as it was, but its raw disk, which knows no lock, was written to.
    const after = await source.fingerprint(image);
    expect(after).not.toBe(before);
    expect(after).not.toBe(first);
  });

  it('counts as on while it is paused', async () => {
    const machine = await define('paused01');
    await control.powerOn(machine, live);
    await libvirt.virsh('suspend', machine.name);
    expect(await source.powerState(machine, live)).toBe('on');
    const deaf = { code: 'source-not-off', message: expect.stringMatching(/paused.*virsh resume/) };
    await expect(control.requestShutDown(machine, live)).rejects.toMatchObject(deaf);
    await control.powerOn(machine, live);
    expect((await libvirt.virsh('domstate', machine.name)).trim()).toBe('running');
  });

  it('is refused where its memory was saved: its disks are in the middle of its work', async () => {
    const machine = await define('saved01');
    await control.powerOn(machine, live);
    await libvirt.virsh('managedsave', machine.name);
    const refusal = { code: 'source-not-off', message: expect.stringMatching(/managedsave-remove/) };
    await expect(source.powerState(machine, live)).rejects.toMatchObject(refusal);
    await expect(exportDisk(machine)).rejects.toMatchObject(refusal);
    await libvirt.virsh('managedsave-remove', machine.name);
    expect(await source.powerState(machine, live)).toBe('off');
  });

  it('is told to be gone when it was undefined', async () => {
    const machine = await define('gone01');
    const image = await exportDisk(machine);
    await libvirt.virsh('undefine', machine.name);
    const gone = { code: 'source-changed', retryable: false };
    await expect(source.powerState(machine, live)).rejects.toMatchObject(gone);
    await expect(source.fingerprint(image)).rejects.toMatchObject(gone);
    await expect(exportDisk(machine)).rejects.toMatchObject(gone);
    await expect(control.powerOn(machine, live)).rejects.toMatchObject(gone);
    await expect(control.setAutostart(machine, false, live)).rejects.toMatchObject(gone);
    await expect(control.writeNote(machine, 'x', live)).rejects.toMatchObject(gone);
  });

  it('is read from its domain again at export: another disk, or another size, is a change', async () => {
    const machine = await define('swapped');
    const other = await makeBootDisk(`${machine.path}.other`);
    const [disk] = machine.disks;
    if (disk === undefined) throw new Error('no disk');
    const planned = (change: object) => ({ ...machine, disks: [{ ...disk, ...change }] });
    const changed = { code: 'source-changed' };
    await expect(exportDisk(planned({ file: other }))).rejects.toMatchObject(changed);
    await expect(exportDisk(planned({ bytes: disk.bytes + 512 }))).rejects.toMatchObject(changed);
    await utimes(machine.path, 0, 0);
    expect(await exportDisk(machine)).toMatchObject({ bytes: disk.bytes });
  });
});

describe('a libvirt that goes away', () => {
  it('is told as such, to be tried again; a shut-down goes on when it is back', async () => {
    const machine = await define('away01');
    const image = await exportDisk(machine);
    const before = await source.fingerprint(image);
    await control.powerOn(machine, live);
    await untilBooted(libvirt, uuidOf(machine));
    await libvirt.stop();
    const away = {
      code: 'source-unavailable',
      retryable: true,
      message: expect.stringContaining('libvirt is away'),
    };
    await expect(source.powerState(machine, live)).rejects.toMatchObject(away);
    await expect(source.machines({ name: 'away01' }, live)).rejects.toMatchObject(away);
    await expect(source.fingerprint(image)).rejects.toMatchObject(away);
    await libvirt.start();
    expect(await source.powerState(machine, live)).toBe('on');
    await shutDown(machine);
    expect(await source.fingerprint(image)).not.toBe(before);
  });

  it('does not change the fingerprint of a machine that stayed off', async () => {
    const machine = await define('away02');
    const image = await exportDisk(machine);
    const before = await source.fingerprint(image);
    await libvirt.stop();
    await libvirt.start();
    expect(await source.fingerprint(image)).toBe(before);
  });
});
