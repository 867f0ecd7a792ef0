/** Everything that can be known before a byte moves, asked of AWS itself. */

import { failed, warned } from '../../../src/domain/finding.ts';
import type { Finding, PlannedMachine } from '../../../src/domain/ports.ts';
import type { Aws } from './clients.ts';
import { machineOptions, type Via, viaOf } from './options.ts';
import { checkBucket, checkIdentity, checkRights, checkRole } from './preflight-account.ts';
import { checkBlocks } from './preflight-ebs.ts';
import { checkMachine } from './preflight-machine.ts';

export async function preflight(
  aws: Aws,
  machines: readonly PlannedMachine[],
  signal: AbortSignal,
): Promise<Finding[]> {
  const identity = await checkIdentity(aws, signal);
  // Without an identity every other line would say the same.
  if (identity.some(({ level }) => level === 'fail')) return identity;
  const vias = viasOf(aws, machines);
  const blocks = vias.has('ebs-direct')
    ? await checkBlocks(aws, machinesBy(aws, machines, ['ebs-direct']), signal)
    : [];
  const findings = [
    ...identity,
    ...(await checkImporter(aws, machines, signal)),
    ...(await checkRights(aws, vias, signal)),
    ...blocks,
    ...checkKey(aws, blocks),
    ...checkAddressesDiffer(machines),
  ];
  for (const planned of machines) findings.push(...(await checkMachine(aws, planned, signal)));
  return findings;
}

/** The bucket and the role: nothing of them is needed where every machine goes by ebs-direct. */
async function checkImporter(
  aws: Aws,
  machines: readonly PlannedMachine[],
  signal: AbortSignal,
): Promise<Finding[]> {
  const needing = machinesBy(aws, machines, ['import-snapshot', 'import-image']);
  if (needing.length === 0 && viasOf(aws, machines).has('ebs-direct')) return [];
  const names = needing.map(({ machine }) => machine.name);
  const bucket = await checkBucket(aws, names, signal);
  const isBucketUsable = bucket.every(({ level }) => level !== 'fail');
  return [...bucket, ...(await checkRole(aws, { isBucketUsable, signal }))];
}

function machinesBy(
  aws: Aws,
  machines: readonly PlannedMachine[],
  vias: readonly Via[],
): readonly PlannedMachine[] {
  return machines.filter(({ wave }) => vias.includes(viaOf(aws.options, wave.to)));
}

/** Of the machines; where there are none (`doctor`), the target's own. */
function viasOf(aws: Aws, machines: readonly PlannedMachine[]): ReadonlySet<Via> {
  if (machines.length === 0) return new Set([aws.options.via]);
  return new Set(machines.map(({ wave }) => viaOf(aws.options, wave.to)));
}

function checkKey({ options: { kmsKey, role } }: Aws, found: readonly Finding[]): Finding[] {
  // What was found of it already, a mistake, comes first.
  if (kmsKey === undefined || found.some(({ subject }) => subject === `key ${kmsKey}`)) return [];
  const message = 'whether it may be used is only known when the first import starts';
  const remedy = `Let the role ${role} and the identity of the workers use it.`;
  return [warned(`key ${kmsKey}`, message, remedy)];
}

function checkAddressesDiffer(machines: readonly PlannedMachine[]): Finding[] {
  const namesByAddress = new Map<string, string[]>();
  for (const { wave, machine } of machines) {
    const { privateIp, subnet } = machineOptions(wave.to);
    if (privateIp === undefined) continue;
    const place = `${privateIp} in ${subnet ?? 'no subnet'}`;
    namesByAddress.set(place, [...(namesByAddress.get(place) ?? []), machine.name]);
  }
  return [...namesByAddress]
    .filter(([, names]) => names.length > 1)
    .map(([place, names]) =>
      failed(`address ${place}`, `${names.join(' and ')} want it`, 'Give each machine its own `privateIp`.'),
    );
}
