/** The steps of a cutover over a real libvirt with guests that run; the target is in memory. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createLibvirtSource } from '../../../../adapters/sources/libvirt/source.ts';
import type { StepStage } from '../../../../src/domain/job.ts';
import type { MachineRecord } from '../../../../src/domain/machine-record.ts';
import type { Source, SourceControl } from '../../../../src/domain/ports.ts';
import { runStep } from '../../../../src/stages/run-step.ts';
import { type OwnLibvirt, startLibvirt } from '../../../../tools/libvirt/libvirtd.ts';
import { createJob, createRecord } from '../../../fakes/machine.ts';
import { createDurableState } from '../../../fakes/step-context.ts';
import { createFakeTarget } from '../../../fakes/target.ts';
import { createAttempt } from '../../../stages/attempt.ts';
import { untilDone } from '../../../stages/killed-attempts.ts';
import { defineGuest, type GuestKind, untilBooted } from './guests.ts';

const live = new AbortController().signal;

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

/** A machine that runs at its source, and the steps that are done to it. */
async function startMove(
  name: string,
  options: { kind?: GuestKind; graceSeconds?: number; force?: boolean } = {},
) {
  const { kind, graceSeconds = 60, force = false } = options;
  await defineGuest(libvirt, { name, ...(kind === undefined ? {} : { kind }) });
  await libvirt.virsh('autostart', name);
  const [machine] = await source.machines({ name }, live);
  if (machine === undefined) throw new Error(`${name} is not there`);
  await control.powerOn(machine, live);
  await untilBooted(libvirt, machine.uuid ?? '');
  const plain = createRecord({ machine, isControlled: true });
  let record: MachineRecord = { ...plain, plan: { ...plain.plan, shutdown: { graceSeconds, force } } };
  const state = createDurableState();
  const target = createFakeTarget();
  const attempt = (stage: StepStage, disk: string | null = null) =>
    runStep(createAttempt({ record, job: createJob(stage, disk, name), source, target, state }));
  const finish = async (stage: StepStage, disk: string | null = null) => {
    // Half of what it asks for: the guests of these tests are quick.
    const output = await untilDone(
      () => attempt(stage, disk),
      (afterMs) => sleep(Math.min(afterMs, 200)),
    );
    if (output.stage === 'export') record = { ...record, images: { [output.disk]: output.image } };
    if (output.stage === 'convert') record = { ...record, prepared: output.prepared };
    return output;
  };
  const isOn = async () => (await source.powerState(machine, live)) === 'on';
  return { machine, target, state, attempt, finish, isOn };
}

describe('a cutover', () => {
  it('turns a running guest off, copies it, and goes the whole way back', async () => {
    const { machine, target, state, finish, isOn } = await startMove('erp');
    await libvirt.virsh('desc', 'erp', '--config', 'ask Ann');
    await finish('shutdown');
    expect(await isOn()).toBe(false);
    expect(await control.isAutostarted(machine, live)).toBe(false);
    expect(await control.readNote(machine, live)).toContain('landfall rollback run-1 erp');
    await finish('export', '0');
    await finish('convert');
    await finish('upload', '0');
    expect(target.finishes).toBe(1);
    await finish('rollback');
    expect(await isOn()).toBe(true);
    expect(await control.isAutostarted(machine, live)).toBe(true);
    expect(await control.readNote(machine, live)).toBeNull();
    expect(await libvirt.virsh('desc', 'erp', '--config')).toContain('ask Ann');
    expect(new Set(state.ledger.map((entry) => entry.state))).toEqual(new Set(['discarded']));
  });

  it('waits for a libvirt that goes away in its midst', async () => {
    const { attempt, finish, isOn } = await startMove('patient');
    expect(await attempt('shutdown')).toMatchObject({ kind: 'wait' });
    await libvirt.stop();
    const away = { code: 'source-unavailable', retryable: true };
    await expect(attempt('shutdown')).rejects.toMatchObject(away);
    await expect(attempt('rollback')).rejects.toMatchObject(away);
    await libvirt.start();
    await finish('shutdown');
    expect(await isOn()).toBe(false);
  });

  it('fails where somebody starts the machine in the midst of its copy', async () => {
    const { machine, target, attempt, finish } = await startMove('meddled');
    await finish('shutdown');
    await finish('export', '0');
    await finish('convert');
    target.beforeWrite = async () => {
      target.beforeWrite = async () => {};
      await libvirt.virsh('start', machine.name);
    };
    await expect(attempt('upload', '0')).rejects.toMatchObject({ code: 'source-not-off', retryable: false });
    expect(target.finishes).toBe(0);
    await untilBooted(libvirt, machine.uuid ?? '');
    await libvirt.virsh('destroy', machine.name);
    // Off again, and no more what it was.
    await expect(attempt('upload', '0')).rejects.toMatchObject({ code: 'source-changed' });
    await finish('rollback');
  });

  it('leaves a guest that will not end as it is, or cuts it off, as its wave says', async () => {
    const patient = await startMove('deaf', { kind: 'stubborn', graceSeconds: 1 });
    await expect(patient.finish('shutdown')).rejects.toMatchObject({ code: 'source-not-off' });
    expect(await patient.isOn()).toBe(true);
    const strict = await startMove('forced', { kind: 'stubborn', graceSeconds: 1, force: true });
    await strict.finish('shutdown');
    expect(await strict.isOn()).toBe(false);
  });
});
