/** Everything that can be known before a byte moves, asked of Azure itself. */
import { failed, warned } from '../../../src/domain/finding.ts';
import type { Finding, PlannedMachine } from '../../../src/domain/ports.ts';
import type { Azure } from './clients.ts';
import { machineOptions } from './options.ts';
import { checkEncryption, checkLocation, checkResourceGroup, checkRights } from './preflight-account.ts';
import { checkQuotas } from './preflight-capacity.ts';
import { checkMachine } from './preflight-machine.ts';
import { readSkus } from './skus.ts';
import { machineName } from './virtual-machine.ts';

export async function preflight(
  azure: Azure,
  machines: readonly PlannedMachine[],
  signal: AbortSignal,
): Promise<Finding[]> {
  const group = await checkResourceGroup(azure, signal);
  // Without an identity, or a place to land in, every other line would say the same.
  if (group.some(({ level }) => level === 'fail')) return group;
  const location = await checkLocation(azure, signal);
  if (location.some(({ level }) => level === 'fail')) return [...group, ...location];
  const { skus, findings: unknownSkus } = await readSkus(azure, signal);
  const findings = [
    ...group,
    ...location,
    ...(await checkRights(azure, machines, signal)),
    ...(await checkEncryption(azure, signal)),
    ...unknownSkus,
    ...checkDiffer(azure, machines),
    ...checkSnapshots(azure),
  ];
  const coming: PlannedMachine[] = [];
  for (const planned of machines) {
    const found = await checkMachine(azure, { ...planned, skus }, signal);
    findings.push(...found);
    if (found.every(({ landedBy }) => landedBy === undefined)) coming.push(planned);
  }
  return [...findings, ...(await checkQuotas(azure, { machines: coming, skus }, signal))];
}

function checkSnapshots({ options }: Azure): Finding[] {
  if (options.keepSnapshots) return [];
  const message = 'will have nothing to compare: no snapshot is kept of what is uploaded';
  const remedy = 'If you want to verify, set `keepSnapshots: true` under `target: azure:`; it costs storage.';
  return [warned('landfall verify', message, remedy)];
}

function checkDiffer(azure: Azure, machines: readonly PlannedMachine[]): Finding[] {
  const nameOf = ({ machine, wave }: PlannedMachine): string =>
    `the name ${machineName(machine, machineOptions(wave.to)).toLowerCase()} in ${azure.options.resourceGroup}`;
  const addressOf = ({ wave }: PlannedMachine): string | null => {
    const { privateIp, subnet } = machineOptions(wave.to);
    return privateIp === undefined ? null : `the address ${privateIp} in ${subnet ?? 'no subnet'}`;
  };
  return [
    ...checkShared(machines, nameOf, 'Give each machine a `name` of its own under `to:`.'),
    ...checkShared(machines, addressOf, 'Give each machine its own `privateIp`.'),
  ];
}

function checkShared(
  machines: readonly PlannedMachine[],
  keyOf: (planned: PlannedMachine) => string | null,
  remedy: string,
): Finding[] {
  const wanted = Map.groupBy(machines, keyOf);
  wanted.delete(null);
  return [...wanted]
    .filter(([, rivals]) => rivals.length > 1)
    .map(([key, rivals]) => {
      const names = rivals.map(({ machine }) => machine.name).join(' and ');
      return failed(String(key), `${names} want it`, remedy);
    });
}
