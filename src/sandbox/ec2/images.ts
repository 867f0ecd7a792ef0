/** Machine images: registered over snapshots, launched as instances. */
import { booleanParameter, textParameter } from '../query-form.ts';
import { defineEc2Action, type QueryActions } from '../query-protocol.ts';
import type { XmlObject } from '../xml.ts';
import { blockDeviceParameters, describeImageDevice, readImageDevices } from './block-devices.ts';
import type { Ec2Desk } from './cloud.ts';
import {
  cutPage,
  filterMembers,
  filterParameters,
  idsParameter,
  orderByCreation,
  pageParameters,
} from './query.ts';
import { invalidValue, newId, refuse, requireMember } from './refusals.ts';
import { collectSnapshotFile, removeSnapshot } from './snapshots.ts';
import type { BlockDevice, BootMode, MachineImage } from './state.ts';
import { describeTags, tagSpecificationParameters, takeTags } from './tags.ts';

export function imageActions(desk: Ec2Desk): QueryActions {
  return {
    RegisterImage: registerImage(desk),
    DescribeImages: describeImages(desk),
    DeregisterImage: deregisterImage(desk),
  };
}

/** https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RegisterImage.html: defaults are paravirtual and i386. */
function registerImage({ store, clock }: Ec2Desk) {
  return defineEc2Action(
    {
      Name: textParameter,
      Description: textParameter.optional(),
      Architecture: textParameter.optional(),
      VirtualizationType: textParameter.optional(),
      BootMode: textParameter.optional(),
      TpmSupport: textParameter.optional(),
      ImdsSupport: textParameter.optional(),
      EnaSupport: booleanParameter.optional(),
      SriovNetSupport: textParameter.optional(),
      RootDeviceName: textParameter.optional(),
      ...blockDeviceParameters,
      ...tagSpecificationParameters,
    },
    async (input) => {
      checkName(input.Name);
      const rootDeviceName = input.RootDeviceName ?? '/dev/sda1';
      const bootMode = input.BootMode === undefined ? null : readBootMode(input.BootMode);
      const traits = {
        architecture: oneOf('architecture', input.Architecture ?? 'i386', ['i386', 'x86_64', 'arm64']),
        virtualizationType: oneOf('virtualizationType', input.VirtualizationType ?? 'paravirtual', [
          'hvm',
          'paravirtual',
        ]),
        imdsSupport:
          input.ImdsSupport === undefined ? null : oneOf('imdsSupport', input.ImdsSupport, ['v2.0']),
        tpmSupport: input.TpmSupport === undefined ? null : oneOf('tpmSupport', input.TpmSupport, ['v2.0']),
      };
      if (traits.tpmSupport !== null && bootMode !== 'uefi') {
        throw refuse('InvalidParameterCombination', "TpmSupport requires the boot mode 'uefi'.");
      }
      const tags = takeTags({
        specifications: input.TagSpecification,
        type: 'image',
        allowed: ['image', 'snapshot'],
      });
      const snapshotTags = takeTags({
        specifications: input.TagSpecification,
        type: 'snapshot',
        allowed: ['image', 'snapshot'],
      });
      const image = await store.update((state) => {
        const taken = Object.values(state.images).find(({ name }) => name === input.Name);
        if (taken !== undefined) {
          throw refuse(
            'InvalidAMIName.Duplicate',
            `AMI name ${input.Name} is already in use by AMI ${taken.id}`,
          );
        }
        const blockDevices = readImageDevices(state, input.BlockDeviceMapping ?? []);
        checkRoot(blockDevices, rootDeviceName);
        for (const { snapshotId } of blockDevices) {
          Object.assign(state.snapshots[snapshotId ?? '']?.tags ?? {}, snapshotTags);
        }
        const created: MachineImage = {
          id: newId('image'),
          name: input.Name,
          description: input.Description ?? null,
          ...traits,
          bootMode,
          enaSupport: input.EnaSupport ?? false,
          sriovNetSupport: input.SriovNetSupport ?? null,
          platform: null,
          rootDeviceName,
          blockDevices,
          tags,
          createdAt: clock.now(),
        };
        state.images[created.id] = created;
        return created;
      });
      return { imageId: image.id };
    },
  );
}

function describeImages({ store, accountId }: Ec2Desk) {
  return defineEc2Action(
    {
      ImageId: idsParameter,
      Owner: idsParameter,
      ExecutableBy: idsParameter,
      IncludeDeprecated: booleanParameter.optional(),
      IncludeDisabled: booleanParameter.optional(),
      ...filterParameters,
      ...pageParameters,
    },
    (input) => {
      const { images } = store.read();
      const named = input.ImageId?.map((id) => requireMember({ members: images, kind: 'image', id }));
      const isOurs =
        input.Owner === undefined || input.Owner.some((owner) => owner === 'self' || owner === accountId);
      const page = cutPage({
        members: filterMembers({
          members: isOurs ? (named ?? Object.values(images)) : [],
          filters: input.Filter,
          tags: (image) => image.tags,
          fields: {
            'image-id': (image) => image.id,
            name: (image) => image.name,
            description: (image) => image.description,
            state: () => 'available',
            architecture: (image) => image.architecture,
            'virtualization-type': (image) => image.virtualizationType,
            'root-device-name': (image) => image.rootDeviceName,
            'root-device-type': () => 'ebs',
            'block-device-mapping.snapshot-id': (image) =>
              image.blockDevices.flatMap(({ snapshotId }) => snapshotId ?? []),
            'image-type': () => 'machine',
            'is-public': () => 'false',
            'owner-id': () => accountId,
          },
        }),
        orderOf: orderByCreation,
        maxResults: input.MaxResults,
        nextToken: input.NextToken,
      });
      const imagesSet = page.members.map((image) => describeImage(image, accountId));
      return { imagesSet, nextToken: page.nextToken };
    },
  );
}

function deregisterImage(desk: Ec2Desk) {
  return defineEc2Action(
    { ImageId: textParameter, DeleteAssociatedSnapshots: booleanParameter.optional() },
    async ({ ImageId: id, DeleteAssociatedSnapshots: isThorough = false }) => {
      const results = await desk.store.update((state) => {
        const image = requireMember({ members: state.images, kind: 'image', id });
        delete state.images[id];
        if (!isThorough) return [];
        const snapshotIds = new Set(image.blockDevices.flatMap(({ snapshotId }) => snapshotId ?? []));
        return [...snapshotIds].map((snapshotId) => ({
          snapshotId,
          returnCode: tryRemove(state, snapshotId),
        }));
      });
      await Promise.all(results.map(({ snapshotId }) => collectSnapshotFile(desk, snapshotId)));
      return { return: true, deleteSnapshotResultSet: results };
    },
  );
}

function tryRemove(state: Parameters<typeof removeSnapshot>[0], snapshotId: string): string {
  try {
    removeSnapshot(state, snapshotId);
    return 'success';
  } catch {
    return 'skipped';
  }
}

function checkName(name: string): void {
  if (/^[A-Za-z0-9()[\] ./\-'@_]{3,128}$/.test(name)) return;
  throw refuse(
    'InvalidAMIName.Malformed',
    "AMI names must be between 3 and 128 characters long, and may contain letters, numbers, '(', ')', '.', '-', '/' and '_'",
  );
}

function checkRoot(devices: readonly BlockDevice[], rootDeviceName: string): void {
  const root = devices.find(({ deviceName }) => deviceName === rootDeviceName);
  if (root !== undefined && root.snapshotId !== null) return;
  throw refuse(
    'InvalidBlockDeviceMapping',
    `Invalid block device mapping: the root device ${rootDeviceName} needs a snapshot`,
  );
}

function readBootMode(mode: string): BootMode {
  return oneOf('bootMode', mode, ['legacy-bios', 'uefi', 'uefi-preferred']);
}

function oneOf<const T extends string>(parameter: string, value: string, allowed: readonly T[]): T {
  const found = allowed.find((one) => one === value);
  if (found === undefined) throw invalidValue(parameter, value);
  return found;
}

function describeImage(image: MachineImage, accountId: string): XmlObject {
  return {
    imageId: image.id,
    imageLocation: `${accountId}/${image.name}`,
    imageState: 'available',
    imageOwnerId: accountId,
    creationDate: new Date(image.createdAt),
    isPublic: false,
    architecture: image.architecture,
    imageType: 'machine',
    platform: image.platform,
    platformDetails: image.platform === 'windows' ? 'Windows' : 'Linux/UNIX',
    usageOperation: image.platform === 'windows' ? 'RunInstances:0002' : 'RunInstances',
    name: image.name,
    description: image.description,
    rootDeviceType: 'ebs',
    rootDeviceName: image.rootDeviceName,
    blockDeviceMapping: image.blockDevices.map(describeImageDevice),
    virtualizationType: image.virtualizationType,
    hypervisor: 'xen',
    enaSupport: image.enaSupport,
    sriovNetSupport: image.sriovNetSupport,
    bootMode: image.bootMode,
    tpmSupport: image.tpmSupport,
    imdsSupport: image.imdsSupport,
    tagSet: describeTags(image.tags),
  };
}
