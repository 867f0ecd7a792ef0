/** What can be known of one machine's landing before a byte moves, beyond the limits that `capabilities` declares. */
import { formatBytes } from '../../../src/domain/byte-size.ts';
import { failed, look, passed, warned } from '../../../src/domain/finding.ts';
import { bootDisk, type Machine } from '../../../src/domain/machine.ts';
import type { Finding, PlannedMachine } from '../../../src/domain/ports.ts';
import type { Azure } from './clients.ts';
import { findMachine } from './machine-lookup.ts';
import { MACHINE_TAG, RUN_TAG, type Tags, tagValue } from './names.ts';
import { type AzureMachineOptions, machineOptions } from './options.ts';
import { checkNetwork } from './preflight-network.ts';
import { checkDiskType, checkSize, describeSize } from './preflight-size.ts';
import type { Skus } from './skus.ts';
import { trustedLaunchOf } from './trusted-launch.ts';
import { machineName } from './virtual-machine.ts';

const GIB = 2 ** 30;
const TIB = 2 ** 40;
/** What the master boot record that generation 1 boots by can address. https://learn.microsoft.com/azure/virtual-machines/generation-2 */
const MAX_V1_BOOT_DISK_BYTES = 2 * TIB;
/** https://learn.microsoft.com/azure/virtual-machines/managed-disks-overview#os-disk */
const MAX_BOOT_DISK_BYTES = 4095 * GIB;
/** Azure takes 50 tags; three are ours. */
const MAX_TAGS = 47;
const RESERVED_TAG = /^(?:landfall-|microsoft|azure|windows)/i;

export async function checkMachine(
  azure: Azure,
  { wave, machine, skus }: PlannedMachine & { skus: Skus | null },
  signal: AbortSignal,
): Promise<Finding[]> {
  const to = machineOptions(wave.to);
  const sizing = { options: azure.options, machine, to, skus };
  const names = await checkName(azure, { machine, to, signal });
  // Its address and its part of the quotas are taken, too: by itself.
  if (names.some(({ landedBy }) => landedBy !== undefined)) return names;
  const findings = [
    ...checkGuest(machine, to),
    ...checkSize(sizing),
    ...checkDiskType(sizing),
    ...names,
    ...(await checkNetwork(azure, { machine, to, signal })),
  ];
  if (findings.some(({ level }) => level === 'fail')) return findings;
  const disks = machine.disks.length === 1 ? '1 disk' : `${machine.disks.length} disks`;
  const message = `can land as ${describeSize(sizing)} in ${to.subnet} with ${disks}`;
  return [passed(machine.name, message), ...findings];
}

function checkGuest(machine: Machine, to: AzureMachineOptions): Finding[] {
  const { name, firmware } = machine;
  const findings: Finding[] = [];
  const boot = bootDisk(machine);
  if (firmware === 'bios' && boot.bytes > MAX_V1_BOOT_DISK_BYTES) {
    const message = `it boots by BIOS from ${formatBytes(boot.bytes)}; Azure takes at most 2 TiB then (generation 1)`;
    const remedy = 'Let the machine boot by UEFI, or from a smaller disk.';
    findings.push(failed(`${name} disk ${boot.id}`, message, remedy));
  } else if (boot.bytes > MAX_BOOT_DISK_BYTES) {
    const message = `it boots from ${formatBytes(boot.bytes)}; Azure takes at most ${MAX_BOOT_DISK_BYTES / GIB} GiB`;
    findings.push(failed(`${name} disk ${boot.id}`, message, 'Let the machine boot from a smaller disk.'));
  }
  const trustedLaunch = trustedLaunchOf(machine, to);
  if (trustedLaunch !== null && firmware === 'bios') {
    const message = 'it boots by BIOS, and Secure Boot and a TPM need UEFI';
    findings.push(failed(name, message, 'Remove `vtpm` and `secureBoot` under `to:`.'));
  } else if (trustedLaunch?.secureBoot === true) {
    const message =
      'it lands with Secure Boot, which trusts the keys of Microsoft: what only its own keys signed does not start';
    const remedy = 'Set `secureBoot: false` under `to:`, if it has boot loaders or drivers of its own keys.';
    findings.push(warned(name, message, remedy));
  }
  const tags = Object.keys(to.tags ?? {});
  for (const tag of tags.filter((each) => RESERVED_TAG.test(each))) {
    const message = `the tag ${tag} is not free: Azure keeps names that begin with microsoft, azure or windows, and Landfall those with landfall-`;
    findings.push(failed(name, message, 'Give it another name.'));
  }
  const twins = tags.filter(
    (tag, at) => tags.findIndex((each) => each.toLowerCase() === tag.toLowerCase()) < at,
  );
  for (const tag of twins) {
    const message = `the tag ${tag} is there twice: Azure compares names of tags without case`;
    findings.push(failed(name, message, 'Leave one out.'));
  }
  const tagCount = tags.length;
  if (tagCount > MAX_TAGS) {
    const message = `it has ${tagCount} tags; Azure takes ${MAX_TAGS} beside those of Landfall`;
    findings.push(failed(name, message, 'Leave some out.'));
  }
  return findings;
}

/** A name is taken for good, and nothing tells its rules better than the request that would fail later. */
async function checkName(
  azure: Azure,
  { machine, to, signal }: { machine: Machine; to: AzureMachineOptions; signal: AbortSignal },
): Promise<Finding[]> {
  const wanted = to.name ?? machine.name;
  const name = machineName(machine, to);
  const subject = `${machine.name}: virtual machine ${name}`;
  return look({ subject, signal }, async () => {
    const found = await findMachine(azure, name, signal);
    if (found !== null) return [nameTaken(subject, { machine, tags: found.tags })];
    if (name === wanted) return [];
    const message = `Azure does not take ${wanted} as a name: it will be called ${name}`;
    return [warned(subject, message, 'Set `name` under `to:`, if you want another one.')];
  });
}

/** It may be in service: to remove it comes last, and never takes the other machines of its run along. */
function nameTaken(
  subject: string,
  { machine, tags }: { machine: Machine; tags: Readonly<Tags> | undefined },
): Finding {
  const run = tagValue(tags, RUN_TAG);
  const rename = 'Give this machine another `name` under `to:`';
  if (run === null)
    return failed(subject, 'there is one of this name already', `${rename}, or remove that one.`);
  const owner = tagValue(tags, MACHINE_TAG);
  const discard = `\`landfall discard ${run} ${owner ?? 'MACHINE'} --landed\``;
  if (owner === machine.name) {
    const message = `this machine is there already, as run ${run} made it`;
    const remedy = `Nothing is to be done if it landed. To land it once more, ${rename.toLowerCase()}; or, as it may be in service, only if it is not needed: ${discard}.`;
    return { ...failed(subject, message, remedy), landedBy: run };
  }
  const message = `there is one of this name already, made by run ${run}`;
  return failed(subject, message, `${rename}. It may be in service; only if it is not needed: ${discard}.`);
}
