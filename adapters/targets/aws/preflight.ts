/** Everything that can be known before a byte moves, asked of AWS itself. */
import type { Finding, PlannedMachine } from '../../../src/domain/ports.ts';
import type { Aws } from './clients.ts';
import { failed, warned } from './finding.ts';
import { machineOptions } from './options.ts';
import { checkBucket, checkIdentity, checkRights, checkRole } from './preflight-account.ts';
import { checkMachine } from './preflight-machine.ts';

export async function preflight(
  aws: Aws,
  machines: readonly PlannedMachine[],
  signal: AbortSignal,
): Promise<Finding[]> {
  const identity = await checkIdentity(aws, signal);
  // Without an identity every other line would say the same.
  if (identity.some(({ level }) => level === 'fail')) return identity;
  const bucket = await checkBucket(aws, signal);
  const isBucketUsable = bucket.every(({ level }) => level !== 'fail');
  const findings = [
    ...identity,
    ...bucket,
    ...(await checkRole(aws, { isBucketUsable, signal })),
    ...(await checkRights(aws, signal)),
    ...checkKey(aws),
    ...checkAddressesDiffer(machines),
  ];
  for (const planned of machines) findings.push(...(await checkMachine(aws, planned, signal)));
  return findings;
}

function checkKey({ options: { kmsKey, role } }: Aws): Finding[] {
  if (kmsKey === undefined) return [];
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
