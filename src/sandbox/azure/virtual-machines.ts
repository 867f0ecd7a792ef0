/**
 * Virtual machines: started, stopped, changed, removed. `plan-machine.ts` makes them from what was asked for.
 * https://learn.microsoft.com/rest/api/compute/virtual-machines
 */
import { rm } from 'node:fs/promises';
import { z } from 'zod';
import type { HttpAnswer } from '../http.ts';
import { type ArmCall, answerArmJson, parameterOf, readBody, tagsSchema } from './arm-call.ts';
import { requireSize } from './catalogue.ts';
import type { AzureDesk } from './cloud.ts';
import { forgetDisk, listInGroup } from './disks.ts';
import { recordPower } from './fleet.ts';
import { describeInstanceView, describeMachine } from './machine-view.ts';
import { machineSchema, planMachine, refuseChanges } from './plan-machine.ts';
import { notAllowed, refuse, resourceNotFound } from './refusals.ts';
import { findById, keyOf } from './resource-id.ts';
import type { AzureState, PowerState, VirtualMachine } from './state.ts';

const updateSchema = z.strictObject({ tags: tagsSchema });

/** A machine that failed is tried again by the same request. */
export async function putMachine(desk: AzureDesk, call: ArmCall): Promise<HttpAnswer> {
  const wanted = readBody(machineSchema, call);
  const existing = findById(desk.store.read().machines, call.id);
  if (existing === undefined) {
    const machine = planMachine({ desk, call, wanted });
    await desk.store.update((state) => hold(state, machine));
    return provision({ desk, call, machine });
  }
  if (call.http.headers['if-none-match'] === '*') {
    throw refuse(412, 'PreconditionFailed', `The condition '*' set for If-None-Match is not satisfied.`);
  }
  if (existing.provisioning === 'Deleting') throw notAllowed(`VM '${existing.name}' is being deleted.`);
  refuseChanges(existing, wanted);
  if (existing.provisioning !== 'Failed') {
    return retag({ desk, call, machine: existing, tags: wanted.tags ?? existing.tags });
  }
  await settle(desk, existing.id, { provisioning: 'Creating', power: 'starting' });
  return provision({ desk, call, machine: requireMachine(desk, call) });
}

export async function getMachine(desk: AzureDesk, call: ArmCall): Promise<HttpAnswer> {
  const machine = requireMachine(desk, call);
  if (call.http.query.get('$expand') !== 'instanceView') return answerArmJson(200, describeMachine(machine));
  return answerArmJson(200, describeMachine(machine, await describeInstanceView(desk, machine)));
}

export async function getInstanceView(desk: AzureDesk, call: ArmCall): Promise<HttpAnswer> {
  return answerArmJson(200, await describeInstanceView(desk, requireMachine(desk, call)));
}

export function listMachines({ store }: AzureDesk, call: ArmCall): HttpAnswer {
  const value = listInGroup(Object.values(store.read().machines), call).map((machine) =>
    describeMachine(machine),
  );
  return answerArmJson(200, { value });
}

export async function updateMachine(desk: AzureDesk, call: ArmCall): Promise<HttpAnswer> {
  const machine = requireMachine(desk, call);
  return retag({ desk, call, machine, tags: readBody(updateSchema, call).tags });
}

export async function startMachine(desk: AzureDesk, call: ArmCall): Promise<HttpAnswer> {
  const { id, size, power } = requireMachine(desk, call);
  // What is deallocated holds no cores, and must win them again.
  if (power === 'deallocated') requireSize(desk, size);
  await recordPower(desk, id, power === 'running' ? 'running' : 'starting');
  return desk.operations.accept({
    call,
    kind: 'compute',
    status: 202,
    work: async () => {
      await desk.fleet.start(id);
      return null;
    },
    onFailure: () => recordPower(desk, id, power),
  });
}

export function powerOffMachine(desk: AzureDesk, call: ArmCall): Promise<HttpAnswer> {
  const isForced = call.http.query.get('skipShutdown') === 'true';
  return endMachine({ desk, call, isForced, meanwhile: 'stopping', finally: 'stopped' });
}

export function deallocateMachine(desk: AzureDesk, call: ArmCall): Promise<HttpAnswer> {
  const isForced = call.http.query.get('forceDeallocate') === 'true';
  return endMachine({ desk, call, isForced, meanwhile: 'deallocating', finally: 'deallocated' });
}

export async function restartMachine(desk: AzureDesk, call: ArmCall): Promise<HttpAnswer> {
  const { id, name, power } = requireMachine(desk, call);
  if (power !== 'running') throw notAllowed(`VM '${name}' is not running. Start it instead.`);
  return desk.operations.accept({
    call,
    kind: 'compute',
    status: 202,
    work: async () => {
      await desk.fleet.end(id, { isForced: false });
      await desk.fleet.start(id);
      return null;
    },
  });
}

/** What it holds goes or stays as each one's deleteOption says. */
export async function deleteMachine(desk: AzureDesk, call: ArmCall): Promise<HttpAnswer> {
  const machine = findById(desk.store.read().machines, call.id);
  if (machine === undefined) return { status: 204, headers: {}, body: { kind: 'empty' } };
  const isForced = call.http.query.get('forceDeletion') === 'true';
  await settle(desk, machine.id, { provisioning: 'Deleting' });
  return desk.operations.accept({
    call,
    kind: 'compute',
    status: 202,
    work: async () => {
      await removeMachine({ desk, machine, isForced });
      return null;
    },
    onFailure: () => settle(desk, machine.id, { provisioning: machine.provisioning }),
  });
}

/** After a restart of the sandbox: what ran runs again, and what was on its way gets there. */
export async function resumeMachines(desk: AzureDesk): Promise<void> {
  for (const machine of Object.values(desk.store.read().machines)) {
    const { id, provisioning, power, name } = machine;
    if (provisioning === 'Deleting') await removeMachine({ desk, machine, isForced: true });
    else if (power === 'deallocating') await recordPower(desk, id, 'deallocated');
    else if (power === 'stopping') await recordPower(desk, id, 'stopped');
    else if (power === 'running' || power === 'starting') {
      void desk.fleet.start(id).then(
        () => settle(desk, id, { provisioning: 'Succeeded' }),
        async (error: unknown) => {
          desk.log('error', `VM ${name} could not be booted again: ${String(error)}`);
          await settle(desk, id, { power: 'stopped', provisioning: 'Failed' });
        },
      );
    }
  }
}

/** Throws ResourceNotFound. */
export function requireMachine({ store }: AzureDesk, call: ArmCall): VirtualMachine {
  const machine = findById(store.read().machines, call.id);
  if (machine !== undefined) return machine;
  throw resourceNotFound(
    `Microsoft.Compute/virtualMachines/${parameterOf(call, 'name')}`,
    parameterOf(call, 'group'),
  );
}

function provision({
  desk,
  call,
  machine,
}: {
  desk: AzureDesk;
  call: ArmCall;
  machine: VirtualMachine;
}): Promise<HttpAnswer> {
  return desk.operations.accept({
    call,
    kind: 'compute',
    status: 201,
    body: describeMachine(machine),
    work: async () => {
      await desk.fleet.start(machine.id);
      await settle(desk, machine.id, { provisioning: 'Succeeded' });
      return null;
    },
    onFailure: () => settle(desk, machine.id, { provisioning: 'Failed', power: 'stopped' }),
  });
}

async function endMachine({
  desk,
  call,
  isForced,
  meanwhile,
  finally: end,
}: {
  desk: AzureDesk;
  call: ArmCall;
  isForced: boolean;
  meanwhile: PowerState;
  finally: PowerState;
}): Promise<HttpAnswer> {
  const { id, power } = requireMachine(desk, call);
  if (power === 'deallocated') {
    return desk.operations.accept({ call, kind: 'compute', status: 202, work: async () => null });
  }
  await recordPower(desk, id, meanwhile);
  return desk.operations.accept({
    call,
    kind: 'compute',
    status: 202,
    work: async () => {
      await desk.fleet.end(id, { isForced });
      await recordPower(desk, id, end);
      return null;
    },
    onFailure: () => recordPower(desk, id, power),
  });
}

async function removeMachine({
  desk,
  machine,
  isForced,
}: {
  desk: AzureDesk;
  machine: VirtualMachine;
  isForced: boolean;
}): Promise<void> {
  await desk.fleet.end(machine.id, { isForced });
  await desk.store.update((state) => release(state, machine));
  for (const { diskId, deleteOption } of machine.disks) {
    const disk = findById(desk.store.read().disks, diskId);
    if (deleteOption === 'Delete' && disk !== undefined) await forgetDisk(desk, disk);
  }
  await rm(desk.files.machine(machine.vmId), { recursive: true, force: true });
}

async function retag({
  desk,
  call,
  machine: { id },
  tags,
}: {
  desk: AzureDesk;
  call: ArmCall;
  machine: VirtualMachine;
  tags: VirtualMachine['tags'];
}): Promise<HttpAnswer> {
  await settle(desk, id, { tags });
  const body = describeMachine(requireMachine(desk, call));
  return desk.operations.accept({
    call,
    kind: 'compute',
    status: 200,
    body,
    work: async () => describeMachine(requireMachine(desk, call)),
  });
}

/** Between the plan and this nothing was awaited: what was free is free. */
function hold(state: AzureState, machine: VirtualMachine): void {
  state.machines[keyOf(machine.id)] = machine;
  for (const { diskId } of machine.disks)
    Object.assign(findById(state.disks, diskId) ?? {}, { managedBy: machine.id });
  for (const { id } of machine.interfaces)
    Object.assign(findById(state.interfaces, id) ?? {}, { machineId: machine.id });
}

function release(state: AzureState, machine: VirtualMachine): void {
  delete state.machines[keyOf(machine.id)];
  for (const { diskId } of machine.disks)
    Object.assign(findById(state.disks, diskId) ?? {}, { managedBy: null });
  for (const { id, deleteOption } of machine.interfaces) {
    const nic = findById(state.interfaces, id);
    if (nic === undefined) continue;
    nic.machineId = null;
    if (deleteOption === 'Delete') delete state.interfaces[keyOf(id)];
  }
}

async function settle(desk: AzureDesk, id: string, change: Partial<VirtualMachine>): Promise<void> {
  await desk.store.update((state) => {
    Object.assign(findById(state.machines, id) ?? {}, change);
  });
}
