/** What can be known of one machine's landing before a byte moves, beyond the limits that `capabilities` declares. */
import type { InstanceTypeInfo, Subnet } from '@aws-sdk/client-ec2';
import { failed, look, lookIfAllowed, passed, warned } from '../../../src/domain/finding.ts';
import { placeOfAddress } from '../../../src/domain/ip-range.ts';
import { isWindows, type Machine } from '../../../src/domain/machine.ts';
import { tellCpus, tellSize } from '../../../src/domain/machine-size.ts';
import type { Finding, PlannedMachine } from '../../../src/domain/ports.ts';
import type { Aws } from './clients.ts';
import { describeInstance } from './instance-lookup.ts';
import { instanceTypeFor, largestType } from './instance-type.ts';
import { MACHINE_TAG, RUN_TAG } from './names.ts';
import { type AwsMachineOptions, machineOptions } from './options.ts';
import {
  findAddressHolder,
  findGroup,
  findInstanceType,
  findSubnet,
  hasInstanceProfile,
  isTypeOffered,
} from './preflight-network.ts';
import { leastGibOf, mostGibOf } from './volume-type.ts';

const GIB = 2 ** 30;

type Landing = { machine: Machine; to: AwsMachineOptions; signal: AbortSignal };

export async function checkMachine(
  aws: Aws,
  { wave, machine }: PlannedMachine,
  signal: AbortSignal,
): Promise<Finding[]> {
  const landing: Landing = { machine, to: machineOptions(wave.to), signal };
  const findings = [...checkGuest(aws, landing), ...(await checkPlace(aws, landing))];
  if (findings.some(({ level }) => level === 'fail')) return findings;
  const type = landing.to.instanceType ?? instanceTypeFor(machine);
  const disks = machine.disks.length === 1 ? '1 disk' : `${machine.disks.length} disks`;
  return [passed(machine.name, `can land as ${type} in ${landing.to.subnet} with ${disks}`), ...findings];
}

function checkGuest(aws: Aws, { machine, to }: Landing): Finding[] {
  const { name } = machine;
  const findings: Finding[] = [];
  const via = to.via ?? aws.options.via;
  if (isWindows(machine) && via !== 'import-image') {
    const message =
      'it runs Windows, which does not start at AWS without drivers that only import-image injects';
    findings.push(failed(name, message, 'Set `via: import-image` under `to:`, or in the target.'));
  }
  if (machine.secureBoot) {
    const message = 'Secure Boot is on, but its keys do not move: it lands with Secure Boot off';
    findings.push(
      warned(name, message, 'Enrol the keys at AWS later, or switch Secure Boot off at the source.'),
    );
  }
  if (to.tpm === true && machine.firmware === 'bios')
    findings.push(failed(name, 'it boots by BIOS, and a TPM needs UEFI', 'Remove `tpm` under `to:`.'));
  const { volumeType } = aws.options;
  const leastGib = leastGibOf(volumeType);
  for (const disk of machine.disks.filter(({ bytes }) => Math.ceil(bytes / GIB) < leastGib)) {
    const message = `${inGib(disk.bytes)} GiB is under the ${leastGib} GiB that a volume of ${volumeType} has at least`;
    findings.push(failed(`${name} disk ${disk.id}`, message, 'Set `volumeType: gp3` in the target.'));
  }
  const mostGib = mostGibOf(volumeType);
  for (const disk of machine.disks.filter(({ bytes }) => Math.ceil(bytes / GIB) > mostGib)) {
    const message = `${inGib(disk.bytes / 1024)} TiB is over the ${mostGib / 1024} TiB that a volume of ${volumeType} has at most`;
    findings.push(failed(`${name} disk ${disk.id}`, message, 'Split the disk at the source.'));
  }
  return findings;
}

async function checkPlace(aws: Aws, landing: Landing): Promise<Finding[]> {
  const { machine, to, signal } = landing;
  const { name } = machine;
  if (to.subnet === undefined) {
    const remedy = 'Set `subnet` under `to:` or `defaults: to:`.';
    return [failed(name, 'it has no subnet to land in', remedy)];
  }
  const subject = `${name}: ${to.subnet}`;
  return look({ subject, signal }, async () => {
    const subnet = await findSubnet(aws, to.subnet as string, signal);
    if (subnet === null) {
      const remedy = `Name a subnet of ${aws.options.region} as \`subnet\` under \`to:\`.`;
      return [failed(subject, 'there is no such subnet', remedy)];
    }
    return [
      ...(await checkAddress(aws, { ...landing, subnet })),
      ...(await checkGroups(aws, { ...landing, subnet })),
      ...(await checkType(aws, { ...landing, subnet })),
      ...(await checkProfile(aws, landing)),
    ];
  });
}

type Placed = Landing & { subnet: Subnet };

async function checkAddress(aws: Aws, { machine, to, subnet, signal }: Placed): Promise<Finding[]> {
  const { CidrBlock: cidr = '', AvailableIpAddressCount: freeCount = 1, SubnetId: id = '' } = subnet;
  const address = to.privateIp;
  if (address === undefined) {
    if (freeCount > 0) return [];
    return [failed(`${machine.name}: ${id}`, 'it has no free address', 'Free one, or name another subnet.')];
  }
  const subject = `${machine.name}: ${address}`;
  const remedy = `Name a free address of ${cidr} as \`privateIp\`, or none.`;
  switch (placeOfAddress(address, cidr)) {
    case 'outside':
      return [failed(subject, `it is not in ${cidr}, the addresses of ${id}`, remedy)];
    case 'reserved':
      return [failed(subject, `AWS keeps the first four addresses of ${cidr} and the last`, remedy)];
    case 'usable': {
      const holder = await findAddressHolder(aws, { subnet: id, address }, signal);
      if (holder === null) return [];
      return [await addressTaken(aws, { subject, machine, holder, remedy, signal })];
    }
  }
}

/** What has it may be in service: to remove it comes last, and never takes the other machines of its run along. */
async function addressTaken(
  aws: Aws,
  {
    subject,
    machine,
    holder,
    remedy,
    signal,
  }: { subject: string; machine: Machine; holder: string; remedy: string; signal: AbortSignal },
): Promise<Finding> {
  const tags = holder.startsWith('i-') ? (await describeInstance(aws, holder, signal))?.Tags : undefined;
  const tagOf = (key: string): string | undefined => tags?.find(({ Key }) => Key === key)?.Value;
  const [run, owner] = [tagOf(RUN_TAG), tagOf(MACHINE_TAG)];
  if (run === undefined) return failed(subject, `${holder} has this address`, remedy);
  const discard = `It may be in service; only if it is not needed: \`landfall discard ${run} ${owner ?? 'MACHINE'} --landed\`.`;
  if (owner !== machine.name)
    return failed(subject, `${holder} has this address, made by run ${run}`, `${remedy} ${discard}`);
  const message = `${holder} has this address: it is this machine, as run ${run} made it`;
  const again = `Nothing is to be done if it landed. To land it once more: ${remedy} ${discard}`;
  return { ...failed(subject, message, again), landedBy: run };
}

async function checkGroups(aws: Aws, { machine, to, subnet, signal }: Placed): Promise<Finding[]> {
  const vpc = subnet.VpcId ?? '';
  const findings: Finding[] = [];
  if (to.groups === undefined) {
    const remedy = 'Set `groups` under `to:` or `defaults: to:`.';
    findings.push(failed(machine.name, 'it has no security groups to be admitted to', remedy));
  }
  for (const id of to.groups ?? []) findings.push(...(await checkGroup(aws, { id, vpc, machine, signal })));
  const { quarantineGroup } = aws.options;
  if (quarantineGroup === undefined) return findings;
  findings.push(...(await checkGroup(aws, { id: quarantineGroup, vpc, machine, signal })));
  const group = await findGroup(aws, quarantineGroup, signal);
  const ruleCount = (group?.IpPermissions ?? []).length + (group?.IpPermissionsEgress ?? []).length;
  if (ruleCount > 0) {
    const message =
      'the quarantine group has rules: machines that are not proven yet can be reached or reach others';
    const remedy = 'Remove its rules, or leave `quarantineGroup` out: then one is made.';
    findings.push(warned(`group ${quarantineGroup}`, message, remedy));
  }
  return findings;
}

async function checkGroup(
  aws: Aws,
  { id, vpc, machine, signal }: { id: string; vpc: string; machine: Machine; signal: AbortSignal },
): Promise<Finding[]> {
  const group = await findGroup(aws, id, signal);
  const subject = `${machine.name}: ${id}`;
  const remedy = `Name a security group of ${vpc}.`;
  if (group === null) return [failed(subject, 'there is no such security group', remedy)];
  if (group.VpcId === vpc) return [];
  return [failed(subject, `it is in ${group.VpcId}, but the subnet is in ${vpc}`, remedy)];
}

async function checkType(aws: Aws, { machine, to, subnet, signal }: Placed): Promise<Finding[]> {
  const type = to.instanceType ?? instanceTypeFor(machine);
  if (type === null) {
    const message = `no common instance type has ${tellCpus(machine.cpus)} and ${inGib(machine.memoryBytes)} GiB`;
    const largest = largestType();
    const limit = largest === null ? '' : `: the largest common one is ${tellSize(largest)}`;
    const remedy = `Name one as \`instanceType\` under \`to:\`, or give the machine less at the source${limit}.`;
    return [failed(machine.name, message, remedy)];
  }
  const subject = `${machine.name}: ${type}`;
  const info = await findInstanceType(aws, type, signal);
  const remedy = 'Name another one as `instanceType` under `to:`.';
  if (info === null)
    return [failed(subject, `there is no such instance type in ${aws.options.region}`, remedy)];
  const unfit = unfitReason(info, machine);
  if (unfit !== null) return [failed(subject, unfit, remedy)];
  const zone = subnet.AvailabilityZone ?? '';
  if (!(await isTypeOffered(aws, { type, zone }, signal)))
    return [failed(subject, `it is not offered in ${zone}, the zone of ${subnet.SubnetId}`, remedy)];
  return warnSmall(info, { machine, subject });
}

export function unfitReason(info: InstanceTypeInfo, { firmware }: Pick<Machine, 'firmware'>): string | null {
  const architectures = info.ProcessorInfo?.SupportedArchitectures ?? [];
  if (architectures.length > 0 && !architectures.includes('x86_64'))
    return `its processors are ${architectures.join(', ')}, not x86_64`;
  const mode = firmware === 'uefi' ? 'uefi' : 'legacy-bios';
  const modes = info.SupportedBootModes ?? [];
  if (modes.length > 0 && !modes.includes(mode)) return `it does not boot by ${firmware.toUpperCase()}`;
  if (info.Hypervisor === 'xen') return 'it is no Nitro type; landings have NVMe disks and ENA networks';
  return null;
}

function warnSmall(
  info: InstanceTypeInfo,
  { machine, subject }: { machine: Machine; subject: string },
): Finding[] {
  const cpus = info.VCpuInfo?.DefaultVCpus ?? machine.cpus;
  const memoryBytes = (info.MemoryInfo?.SizeInMiB ?? Number.POSITIVE_INFINITY) * 2 ** 20;
  if (cpus >= machine.cpus && memoryBytes >= machine.memoryBytes) return [];
  const message = `it has ${tellCpus(cpus)} and ${inGib(memoryBytes)} GiB; the machine has ${machine.cpus} and ${inGib(machine.memoryBytes)} GiB`;
  return [warned(subject, message, 'Name a larger one, if the machine needs all it has.')];
}

async function checkProfile(aws: Aws, { machine, to, signal }: Landing): Promise<Finding[]> {
  const profile = to.instanceProfile;
  if (profile === undefined) return [];
  const subject = `${machine.name}: instance profile ${profile}`;
  return lookIfAllowed({ subject, signal }, async () => {
    if (await hasInstanceProfile(aws, profile, signal)) return [];
    return [failed(subject, 'there is no such instance profile', 'Create it, or correct `instanceProfile`.')];
  });
}

function inGib(bytes: number): string {
  return String(Math.round((bytes / GIB) * 10) / 10);
}
