/**
 * From uploaded disks to a virtual machine that runs under quarantine. Each call walks the same list of steps and returns
 * at the first that has to wait: where things stand is in the ledger and at Azure, never in this process.
 */
import { LandfallError } from '../../../src/domain/errors.ts';
import type { Artifact, Landing } from '../../../src/domain/landing.ts';
import type { ImportRequest, StepContext, StepOutcome } from '../../../src/domain/ports.ts';
import type { Azure } from './clients.ts';
import { findDisk } from './disk.ts';
import { landingOf } from './landing.ts';
import { subnetPlace } from './network-id.ts';
import { isHeld, openInterface } from './network-interface.ts';
import { machineOptions } from './options.ts';
import { openQuarantine } from './quarantine.ts';
import { startMachine } from './virtual-machine.ts';

const FREE_AFTER_MS = 5_000;

export async function importMachine(
  azure: Azure,
  { machine, to: wanted, artifacts }: ImportRequest,
  context: StepContext,
): Promise<StepOutcome<Landing>> {
  const to = machineOptions(wanted);
  if (to.subnet === undefined) throw noSubnet(machine.name);
  const busy = await findBusyDisk(azure, artifacts, context);
  if (busy !== null) return { kind: 'wait', afterMs: FREE_AFTER_MS, note: busy };
  const subnet = subnetPlace(azure.options, to.subnet).id;
  const quarantineGroup = await openQuarantine(azure, context);
  const nic = await openInterface(azure, { subnet, quarantineGroup, to, context });
  if (!isHeld(nic, quarantineGroup))
    return { kind: 'wait', afterMs: FREE_AFTER_MS, note: 'its network interface goes into quarantine' };
  const disks = namesBy(artifacts, 'diskId');
  const started = await startMachine(azure, { machine, to, disks, networkInterface: nic.id ?? '', context });
  if (started.kind === 'wait') return started;
  const { name = '', vmId = '' } = started.value;
  const landing = landingOf({
    resourceGroup: azure.options.resourceGroup,
    location: azure.options.location,
    virtualMachine: name,
    vmId,
    networkInterface: nic.name ?? '',
    subnet,
    privateIp: nic.ipConfigurations?.[0]?.privateIPAddress ?? null,
    disks: namesBy(artifacts, 'name'),
    snapshots: namesBy(artifacts, 'snapshot'),
    quarantineGroup,
    group: nic.networkSecurityGroup?.id ?? '',
  });
  return { kind: 'done', value: landing };
}

/** Azure attaches no disk that somebody reads. What it waits for; null where nothing is in the way. */
async function findBusyDisk(
  azure: Azure,
  artifacts: readonly Artifact[],
  { machine, signal }: StepContext,
): Promise<string | null> {
  for (const { disk, ref } of artifacts) {
    const name = String(ref.name);
    const found = await findDisk(azure, name, signal);
    if (found === null) throw missingDisk(name, { disk, machine });
    switch (found.diskState) {
      case 'ReadyToUpload':
      case 'ActiveUpload':
        throw unendedDisk(name, { disk, machine });
      case 'ActiveSAS':
      case 'ActiveSASFrozen':
        return `disk ${disk} is being read by somebody`;
      default:
        // Attached ones are those of the machine that an earlier attempt asked for.
        break;
    }
  }
  return null;
}

function namesBy(artifacts: readonly Artifact[], key: string): Record<string, string> {
  const names: Record<string, string> = {};
  for (const { disk, ref } of artifacts) {
    const name = ref[key];
    if (typeof name === 'string') names[disk] = name;
  }
  return names;
}

function noSubnet(machine: string): LandfallError {
  return new LandfallError({
    code: 'target-refused',
    message: `${machine} has no subnet to land in. Set \`subnet\` under \`to:\` or \`defaults: to:\`.`,
  });
}

/** Its upload was told as ended: somebody began another one into it. */
function unendedDisk(name: string, { disk, machine }: { disk: string; machine: string }): LandfallError {
  return new LandfallError({
    code: 'target-refused',
    message: `The disk ${name}, to which disk ${disk} of ${machine} was uploaded, is open for an upload again, so it may hold anything. Run \`landfall discard\`, then \`landfall retry\` for it.`,
    context: { disk: name },
  });
}

function missingDisk(name: string, { disk, machine }: { disk: string; machine: string }): LandfallError {
  return new LandfallError({
    code: 'target-missing',
    message: `The disk ${name}, to which disk ${disk} of ${machine} was uploaded, is gone. Run \`landfall discard\`, then \`landfall retry\` for it.`,
    context: { disk: name },
  });
}
