/** A virtual machine as it was asked for: from disks and interfaces that are there already, and fit. */
import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import type { JsonObject } from '../../domain/json.ts';
import { type ArmCall, parameterOf, tagsSchema } from './arm-call.ts';
import { checkMachineQuota, checkZones, requireLocation, requireSize } from './catalogue.ts';
import type { AzureDesk } from './cloud.ts';
import { hasAccess } from './disks.ts';
import { badReference } from './network.ts';
import { invalidParameter, notAllowed, propertyChange, refuse } from './refusals.ts';
import { findById, keyOf } from './resource-id.ts';
import type { MachineDisk, ManagedDisk, VirtualMachine } from './state.ts';
import type { VmSize } from './vm-sizes.ts';

const deleteOption = z.enum(['Delete', 'Detach']);
const caching = z.enum(['None', 'ReadOnly', 'ReadWrite']);
const managedDisk = z.strictObject({ id: z.string(), storageAccountType: z.string().optional() });
const attached = {
  name: z.string().optional(),
  createOption: z.literal('Attach'),
  managedDisk,
  caching: caching.optional(),
  deleteOption: deleteOption.optional(),
  diskSizeGB: z.int().optional(),
};

/** Machines from attached, specialised disks: no image, no osProfile. */
export const machineSchema = z.strictObject({
  location: z.string(),
  tags: tagsSchema.optional(),
  zones: z.array(z.string()).max(1).optional(),
  properties: z.strictObject({
    hardwareProfile: z.strictObject({ vmSize: z.string() }),
    storageProfile: z.strictObject({
      osDisk: z.strictObject({ ...attached, osType: z.enum(['Linux', 'Windows']) }),
      dataDisks: z.array(z.strictObject({ ...attached, lun: z.int().min(0) })).optional(),
      diskControllerType: z.enum(['SCSI', 'NVMe']).optional(),
    }),
    networkProfile: z.strictObject({
      networkInterfaces: z
        .array(
          z.strictObject({
            id: z.string(),
            properties: z
              .strictObject({ primary: z.boolean().optional(), deleteOption: deleteOption.optional() })
              .optional(),
          }),
        )
        .min(1),
    }),
    securityProfile: z
      .strictObject({
        securityType: z.enum(['TrustedLaunch', 'Standard']).optional(),
        encryptionAtHost: z.boolean().optional(),
        uefiSettings: z
          .strictObject({ secureBootEnabled: z.boolean().optional(), vTpmEnabled: z.boolean().optional() })
          .optional(),
      })
      .optional(),
    diagnosticsProfile: z
      .strictObject({ bootDiagnostics: z.strictObject({ enabled: z.boolean() }).optional() })
      .optional(),
    licenseType: z.string().optional(),
  }),
});

export type WantedMachine = z.output<typeof machineSchema>;

/** https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules#microsoftcompute */
const NAME = /^[A-Za-z0-9](?:[A-Za-z0-9.-]{0,62}[A-Za-z0-9])?$/;
const MAX_WINDOWS_NAME = 15;
/** What the master boot record of a generation 1 machine can address. */
const MAX_V1_OS_DISK_BYTES = 2 * 1024 ** 4;
/** https://learn.microsoft.com/azure/virtual-machines/managed-disks-overview#os-disk */
const MAX_OS_DISK_BYTES = 4095 * 1024 ** 3;

/** Synchronous, so that what it found free can be taken in the same turn. Throws a Refusal. */
export function planMachine({
  desk,
  call,
  wanted: { location, tags = {}, zones = [], properties },
}: {
  desk: AzureDesk;
  call: ArmCall;
  wanted: WantedMachine;
}): VirtualMachine {
  const { hardwareProfile, storageProfile, networkProfile, securityProfile, diagnosticsProfile } = properties;
  const name = parameterOf(call, 'name');
  const { osType } = storageProfile.osDisk;
  checkName(name, osType);
  requireLocation(location);
  checkZones(zones, location);
  const disks = listDisks(storageProfile);
  const found = disks.map((disk) => takeDisk({ desk, call, location, zones, disk }));
  const osDisk = found[0] as ManagedDisk;
  checkMachineQuota(desk);
  const size = requireSize(desk, hardwareProfile.vmSize);
  checkFit({ size, osDisk, dataDisks: found.length - 1 });
  checkSecurity(securityProfile, osDisk);
  return {
    id: call.id,
    name,
    resourceGroup: parameterOf(call, 'group'),
    location,
    tags,
    zones,
    vmId: randomUUID(),
    size: size.name,
    osType,
    generation: osDisk.generation ?? 'V1',
    disks,
    interfaces: networkProfile.networkInterfaces.map((reference, index) =>
      takeInterface({
        desk,
        call,
        location,
        reference,
        isOnly: index === 0 && networkProfile.networkInterfaces.length === 1,
      }),
    ),
    security: (securityProfile as JsonObject | undefined) ?? null,
    hasBootDiagnostics: diagnosticsProfile?.bootDiagnostics?.enabled ?? false,
    createdAt: desk.now(),
    provisioning: 'Creating',
    power: 'starting',
  };
}

/** Of a machine that is there, only the tags may differ. Throws PropertyChangeNotAllowed. */
export function refuseChanges(existing: VirtualMachine, { location, properties }: WantedMachine): void {
  const { hardwareProfile, storageProfile, networkProfile } = properties;
  if (location !== existing.location) throw propertyChange('location');
  if (hardwareProfile.vmSize.toLowerCase() !== existing.size.toLowerCase())
    throw propertyChange('hardwareProfile.vmSize');
  const idsOf = (ids: readonly string[]): string => ids.map(keyOf).join();
  const wantedDisks = listDisks(storageProfile).map(({ diskId }) => diskId);
  if (idsOf(wantedDisks) !== idsOf(existing.disks.map(({ diskId }) => diskId))) {
    throw propertyChange('storageProfile');
  }
  const wantedInterfaces = networkProfile.networkInterfaces.map(({ id }) => id);
  if (idsOf(wantedInterfaces) !== idsOf(existing.interfaces.map(({ id }) => id))) {
    throw propertyChange('networkProfile');
  }
}

function checkName(name: string, osType: 'Linux' | 'Windows'): void {
  if (!NAME.test(name)) {
    throw refuse(
      400,
      'InvalidParameter',
      `The entity name 'vmName' is invalid according to its validation rule: ${NAME.source}.`,
      { target: 'vmName' },
    );
  }
  if (osType === 'Windows' && name.length > MAX_WINDOWS_NAME) {
    throw invalidParameter(
      'computerName',
      `Windows computer name cannot be more than ${MAX_WINDOWS_NAME} characters long.`,
    );
  }
}

/** The OS disk first, then by lun. Throws InvalidParameter where two have one lun. */
function listDisks({ osDisk, dataDisks = [] }: WantedMachine['properties']['storageProfile']): MachineDisk[] {
  const sorted = dataDisks.toSorted((left, right) => left.lun - right.lun);
  const twice = sorted.find(({ lun }, index) => sorted[index + 1]?.lun === lun);
  if (twice !== undefined) {
    throw invalidParameter('dataDisk.lun', `A disk at LUN ${twice.lun} already exists.`);
  }
  return [{ ...osDisk, lun: null }, ...sorted].map(({ lun, managedDisk, caching, deleteOption }) => ({
    diskId: managedDisk.id,
    lun,
    deleteOption: deleteOption ?? 'Detach',
    caching: caching ?? 'None',
  }));
}

function takeDisk({
  desk,
  call,
  location,
  zones,
  disk: { diskId, lun },
}: {
  desk: AzureDesk;
  call: ArmCall;
  location: string;
  zones: readonly string[];
  disk: MachineDisk;
}): ManagedDisk {
  const disk = findById(desk.store.read().disks, diskId);
  if (disk === undefined) throw refuse(404, 'NotFound', `Disk ${diskId.split('/').at(-1)} is not found.`);
  const { name, phase, managedBy } = disk;
  if (phase !== 'Ready') {
    throw notAllowed(
      `Disk ${name} is in state ${phase} and cannot be attached to VM ${call.id}. Upload it, and end its access, first.`,
    );
  }
  if (hasAccess(disk, desk.now())) {
    throw notAllowed(
      `There is an active shared access signature outstanding for disk ${name}. Call EndGetAccess before attaching the disk. To learn more, see: aka.ms/revokeaccessapi.`,
    );
  }
  if (managedBy !== null) {
    throw refuse(
      409,
      'AttachDiskWhileBeingDetached',
      `Cannot attach data disk '${name}' to VM '${call.id}' because the disk is currently attached to VM '${managedBy}'.`,
    );
  }
  if (disk.location !== location) {
    throw refuse(
      400,
      'BadRequest',
      `Disk ${name} cannot be attached to the VM because it is not in location '${location}'.`,
    );
  }
  if (!disk.sku.endsWith('ZRS') && disk.zones.join() !== zones.join()) {
    throw refuse(
      400,
      'BadRequest',
      `Disk ${name} cannot be attached to the VM because it is not in zone '${zones.join()}'.`,
    );
  }
  if (lun === null && disk.osType === null) {
    throw refuse(409, 'OperationNotAllowed', `Disk ${name} has no osType and cannot be the OS disk of a VM.`);
  }
  return disk;
}

function checkFit({
  size,
  osDisk,
  dataDisks,
}: {
  size: VmSize;
  osDisk: ManagedDisk;
  dataDisks: number;
}): void {
  const generation = osDisk.generation ?? 'V1';
  if (!size.generations.includes(generation)) {
    throw refuse(
      400,
      'BadRequest',
      `The selected VM size '${size.name}' cannot boot Hypervisor Generation '${generation.slice(1)}'. If this was a Create operation please check that the Hypervisor Generation of the Image matches the Hypervisor Generation of the selected VM Size.`,
    );
  }
  if (generation === 'V1' && osDisk.diskSizeBytes > MAX_V1_OS_DISK_BYTES) {
    throw invalidParameter(
      'osDisk.diskSizeGB',
      `The OS disk ${osDisk.name} of a generation 1 VM may not be larger than 2 TiB.`,
    );
  }
  if (osDisk.diskSizeBytes > MAX_OS_DISK_BYTES) {
    throw invalidParameter(
      'osDisk.diskSizeGB',
      `The OS disk ${osDisk.name} may not be larger than 4095 GiB.`,
    );
  }
  if (size.architecture !== 'x64') {
    throw refuse(
      400,
      'BadRequest',
      `Cannot create a VM of size '${size.name}' because this VM size only supports a CPU Architecture of '${size.architecture}', but an image or disk with CPU Architecture 'x64' was given.`,
    );
  }
  if (dataDisks > size.maxDataDisks) {
    throw notAllowed(
      `The maximum number of data disks allowed to be attached to a VM of size ${size.name} is ${size.maxDataDisks}.`,
    );
  }
  if (osDisk.sku.startsWith('Premium') && !size.hasPremiumDisks) {
    throw invalidParameter('osDisk.managedDisk', `VM size ${size.name} does not support Premium disks.`);
  }
}

function checkSecurity(profile: WantedMachine['properties']['securityProfile'], osDisk: ManagedDisk): void {
  const isTrusted = profile?.securityType === 'TrustedLaunch';
  if (profile?.uefiSettings !== undefined && !isTrusted) {
    throw invalidParameter(
      'securityProfile.uefiSettings',
      "The property 'uefiSettings' needs securityType 'TrustedLaunch'.",
    );
  }
  if (isTrusted && (osDisk.generation !== 'V2' || osDisk.securityType !== 'TrustedLaunch')) {
    throw refuse(
      400,
      'BadRequest',
      `The OS disk ${osDisk.name} must be of generation V2 and of securityType TrustedLaunch for a Trusted Launch VM.`,
    );
  }
  if (!isTrusted && osDisk.securityType === 'TrustedLaunch') {
    throw refuse(
      400,
      'BadRequest',
      `The OS disk ${osDisk.name} is of securityType TrustedLaunch, and the VM is not.`,
    );
  }
}

function takeInterface({
  desk,
  call,
  location,
  reference: { id, properties },
  isOnly,
}: {
  desk: AzureDesk;
  call: ArmCall;
  location: string;
  reference: WantedMachine['properties']['networkProfile']['networkInterfaces'][number];
  isOnly: boolean;
}): VirtualMachine['interfaces'][number] {
  const nic = findById(desk.store.read().interfaces, id);
  if (nic === undefined || nic.location !== location) throw badReference(id, call.id);
  if (nic.machineId !== null) {
    throw refuse(
      400,
      'NicInUse',
      `Network Interface ${nic.id} is used by existing resource ${nic.machineId}.`,
    );
  }
  desk.rights.requireLinked({
    action: 'Microsoft.Compute/virtualMachines/write',
    scope: call.id,
    linked: 'Microsoft.Network/networkInterfaces/join/action',
    linkedScope: nic.id,
  });
  return {
    id: nic.id,
    primary: properties?.primary ?? isOnly,
    deleteOption: properties?.deleteOption ?? 'Detach',
  };
}
