/** A proven machine enters service: the wave's network security group in place of the quarantine group. */
import type { NetworkInterface } from '@azure/arm-network';
import { LandfallError } from '../../../src/domain/errors.ts';
import type { JsonObject } from '../../../src/domain/json.ts';
import type { Landing } from '../../../src/domain/landing.ts';
import type { StepContext, StepOutcome } from '../../../src/domain/ports.ts';
import { tidyUp } from '../../../src/domain/tidy.ts';
import type { Azure } from './clients.ts';
import { type LandingRef, landingOf, landingRef } from './landing.ts';
import { findMachine } from './machine-lookup.ts';
import { groupPlace } from './network-id.ts';
import { findInterface, isHeld, moveInterface } from './network-interface.ts';
import { machineOptions } from './options.ts';
import { closeQuarantine } from './quarantine.ts';

const CONFIRM_AFTER_MS = 2_000;

export async function admitMachine(
  azure: Azure,
  { to, landing }: { to: JsonObject; landing: Landing },
  context: StepContext,
): Promise<StepOutcome<Landing>> {
  const ref = landingRef(landing);
  const group = groupOf(azure, to, context);
  const entry = await context.ledger.intend('admission');
  const nic = await requireParts(azure, ref, context);
  if (!isHeld(nic, group)) {
    const moved = await moveInterface(azure, nic, {
      group,
      doing: `Admitting ${context.machine}`,
      context,
    });
    if (!isHeld(moved, group))
      return { kind: 'wait', afterMs: CONFIRM_AFTER_MS, note: 'its security group changes' };
  }
  if (entry.state !== 'done')
    await context.ledger.settle(entry, 'done', { machine: ref.virtualMachine, group });
  await tidyUp(context, () => leaveQuarantine(azure, context));
  return { kind: 'done', value: landingOf({ ...ref, group }) };
}

async function requireParts(
  azure: Azure,
  { virtualMachine, vmId, networkInterface }: LandingRef,
  context: StepContext,
): Promise<NetworkInterface> {
  const machine = await findMachine(azure, virtualMachine, context.signal);
  const nic = await findInterface(azure, networkInterface, context.signal);
  if (machine !== null && machine.vmId === vmId && nic !== null) return nic;
  throw new LandfallError({
    code: 'target-missing',
    message: `The virtual machine ${virtualMachine} of ${context.machine}, or its network interface, is gone: it cannot be admitted. Run \`landfall discard\`, then \`landfall retry\` for it.`,
    context: { virtualMachine },
  });
}

/** The last machine of the run to leave removes the group; while another is in it, Azure keeps it. */
async function leaveQuarantine(azure: Azure, context: StepContext): Promise<void> {
  const entries = await context.ledger.entries();
  const entry = entries.findLast(({ thing, state }) => thing === 'quarantine' && state === 'done');
  const name = entry?.ref?.groupId;
  if (entry === undefined || typeof name !== 'string') return;
  if (await closeQuarantine(azure, name, { run: context.run, signal: context.signal }))
    await context.ledger.settle(entry, 'discarded');
}

function groupOf({ options }: Azure, to: JsonObject, { machine }: StepContext): string {
  const { group } = machineOptions(to);
  if (group !== undefined) return groupPlace(options, group).id;
  throw new LandfallError({
    code: 'target-refused',
    message: `${machine} has no network security group to be admitted to. Set \`group\` under \`to:\` or \`defaults: to:\`.`,
  });
}
