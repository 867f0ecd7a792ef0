/** How Resource Manager describes a machine, and what it sees of it from outside. */
import { decodeConsole } from '../../boot/console-text.ts';
import type { JsonObject } from '../../domain/json.ts';
import type { AzureDesk } from './cloud.ts';
import { nameIn } from './resource-id.ts';
import type { MachineDisk, PowerState, VirtualMachine } from './state.ts';

/** The guest's own agent says on the console that it runs; nothing else of it reaches the sandbox. */
const AGENT = /\b(waagent|WALinuxAgent|Azure (Linux|VM|Guest) Agent)\b/i;

const POWER_WORDS: Readonly<Record<PowerState, string>> = {
  starting: 'VM starting',
  running: 'VM running',
  stopping: 'VM stopping',
  stopped: 'VM stopped',
  deallocating: 'VM deallocating',
  deallocated: 'VM deallocated',
};

export function describeMachine(machine: VirtualMachine, instanceView?: JsonObject): JsonObject {
  const { zones, security, disks } = machine;
  const [osDisk, ...dataDisks] = disks;
  return {
    id: machine.id,
    name: machine.name,
    type: 'Microsoft.Compute/virtualMachines',
    location: machine.location,
    tags: machine.tags as JsonObject,
    ...(zones.length === 0 ? {} : { zones: [...zones] }),
    properties: {
      vmId: machine.vmId,
      hardwareProfile: { vmSize: machine.size },
      storageProfile: {
        ...(osDisk === undefined ? {} : { osDisk: { ...describeDisk(osDisk), osType: machine.osType } }),
        dataDisks: dataDisks.map((disk) => ({ ...describeDisk(disk), lun: disk.lun })),
      },
      networkProfile: {
        networkInterfaces: machine.interfaces.map(({ id, primary, deleteOption }) => ({
          id,
          properties: { primary, deleteOption },
        })),
      },
      ...(security === null ? {} : { securityProfile: security }),
      diagnosticsProfile: { bootDiagnostics: { enabled: machine.hasBootDiagnostics } },
      provisioningState: machine.provisioning,
      timeCreated: new Date(machine.createdAt).toISOString(),
      ...(instanceView === undefined ? {} : { instanceView }),
    },
  };
}

export async function describeInstanceView(desk: AzureDesk, machine: VirtualMachine): Promise<JsonObject> {
  const { id, power, provisioning } = machine;
  const time = new Date(desk.now()).toISOString();
  const statuses = [
    {
      code: `ProvisioningState/${provisioning.toLowerCase()}`,
      level: provisioning === 'Failed' ? 'Error' : 'Info',
      displayStatus: `Provisioning ${provisioning.toLowerCase()}`,
      time: new Date(machine.createdAt).toISOString(),
    },
    { code: `PowerState/${power}`, level: 'Info', displayStatus: POWER_WORDS[power] },
  ];
  const hasAgent = power === 'running' && AGENT.test(decodeConsole(await desk.fleet.console(id)));
  return {
    ...(power === 'running' ? { vmAgent: describeAgent(hasAgent, time) } : {}),
    disks: machine.disks.map(({ diskId }) => ({
      name: nameIn(diskId),
      statuses: [
        { code: 'ProvisioningState/succeeded', level: 'Info', displayStatus: 'Provisioning succeeded', time },
      ],
    })),
    bootDiagnostics: {},
    hyperVGeneration: machine.generation,
    statuses,
  };
}

function describeAgent(isReady: boolean, time: string): JsonObject {
  const status = isReady
    ? {
        code: 'ProvisioningState/succeeded',
        level: 'Info',
        displayStatus: 'Ready',
        message: 'Guest Agent is running',
        time,
      }
    : {
        code: 'ProvisioningState/Unavailable',
        level: 'Warning',
        displayStatus: 'Not Ready',
        message: 'VM status blob is found but not yet populated.',
        time,
      };
  return { vmAgentVersion: isReady ? '2.0' : 'Unknown', statuses: [status] };
}

function describeDisk({ diskId, deleteOption, caching }: MachineDisk): JsonObject {
  return { name: nameIn(diskId), createOption: 'Attach', caching, deleteOption, managedDisk: { id: diskId } };
}
