/** Finds domains and reads what libvirt knows of them, off or on, without touching any. */
import { randomUUID } from 'node:crypto';
import { LandfallError } from '../../../src/domain/errors.ts';
import { matchesName } from '../../../src/domain/name-pattern.ts';
import type { Domain, DomainDisk } from './domain.ts';
import { type DomainStatus, parseStatus } from './domain-status.ts';
import { readDomainXml } from './domain-xml.ts';
import type { LibvirtMachineOptions } from './options.ts';
import type { Virsh } from './virsh.ts';
import { isAway } from './virsh-failure.ts';

export type FoundDomain = {
  domain: Domain;
  status: DomainStatus;
  /** Virtual size of each disk by its target, as far as libvirt can tell. */
  capacities: Map<string, number>;
  /** Where it is, by the host's own name; null where libvirt does not tell. */
  host: string | null;
};

/** Those that fit all of it. */
export type DomainSelector = Omit<LibvirtMachineOptions, 'os'>;

type Listed = { uuid: string; name: string };

/** Over ssh a connection costs 300 ms and a command 1 ms: so many domains are asked for at once, 4 KiB of words. */
const DOMAINS_AT_ONCE = 25;
const NAMES_IN_MESSAGES = 12;
const UUID_CHARACTERS = 36;

/** By name, in order; at least one. Throws `not-found`, `image-…` and what virsh.ts throws. */
export async function findDomains(
  virsh: Virsh,
  selector: DomainSelector,
  signal: AbortSignal,
): Promise<FoundDomain[]> {
  const { uuid, name = '*' } = selector;
  const chosen =
    uuid === undefined
      ? (await listDomains(virsh, signal)).filter((each) => matchesName(each.name, name))
      : [{ uuid: uuid.toLowerCase(), name: uuid }];
  const found: FoundDomain[] = [];
  for (let at = 0; at < chosen.length; at += DOMAINS_AT_ONCE) {
    const read = await readDomains(virsh, chosen.slice(at, at + DOMAINS_AT_ONCE), signal);
    found.push(...read.filter((each) => isSelected(each, selector)));
  }
  if (found.length === 0) throw noSuchDomain({ virsh, selector, listed: await listDomains(virsh, signal) });
  for (const { domain, capacities } of found) {
    const missing = domain.disks.filter(({ target }) => !capacities.has(target));
    for (const disk of missing) await addCapacity({ virsh, domain, disk, capacities, signal });
  }
  return found;
}

function isSelected({ domain, host }: FoundDomain, selector: DomainSelector): boolean {
  const { tag, host: wantedHost } = selector;
  const isTagged = tag === undefined || domain.tags.some((each) => matchesName(each, tag.replace(/^#/, '')));
  return isTagged && (wantedHost === undefined || matchesName(host ?? '', wantedHost));
}

async function listDomains(virsh: Virsh, signal: AbortSignal): Promise<Listed[]> {
  const attempted = 'Listing the domains';
  const stdout = await virsh.run(['list', '--all', '--uuid', '--name'], { attempted, signal });
  return stdout
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
    .map((line) => ({ uuid: line.slice(0, UUID_CHARACTERS), name: line.slice(UUID_CHARACTERS).trim() }))
    .sort((one, other) => (one.name < other.name ? -1 : 1));
}

async function readDomains(
  virsh: Virsh,
  listed: readonly Listed[],
  signal: AbortSignal,
): Promise<FoundDomain[]> {
  // Nobody can put this into a domain's description beforehand.
  const mark = randomUUID();
  const commands = listed.flatMap(({ uuid }) => [
    ['echo', mark],
    ['hostname'],
    ['echo', mark],
    ['dumpxml', '--inactive', uuid],
    ['echo', mark],
    ['dominfo', uuid],
    ['echo', mark],
    ['domblkinfo', uuid, '--all'],
  ]);
  const attempted = `Reading ${listed.length === 1 ? listed[0]?.name : `${listed.length} domains`}`;
  const answers = (await virsh.runAll(commands, { attempted, signal })).split(mark).slice(1);
  return listed.flatMap(({ name }, index): FoundDomain[] => {
    const [hostname = '', xml = '', dominfo = '', blocks = ''] = answers.slice(4 * index);
    // Undefined since it was listed.
    if (xml.trim() === '') return [];
    const status = parseStatus(dominfo, name);
    const domain = readDomainXml(xml, name);
    return [{ domain, status, capacities: parseCapacities(blocks), host: hostname.trim() || null }];
  });
}

/** One disk that cannot be asked after, and any volume of a pool, hides the others of its domain. */
async function addCapacity(ask: {
  virsh: Virsh;
  domain: Domain;
  disk: DomainDisk;
  capacities: Map<string, number>;
  signal: AbortSignal;
}): Promise<void> {
  const { virsh, domain, disk, capacities, signal } = ask;
  const { source, target } = disk;
  const isVolume = source.kind === 'volume';
  const args = isVolume
    ? ['vol-info', '--bytes', '--pool', source.pool, '--vol', source.volume]
    : ['domblkinfo', domain.uuid, target];
  try {
    const stdout = await virsh.run(args, { attempted: `Asking for the size of ${target}`, signal });
    const bytes = Number(/^Capacity:\s+(\d+)/m.exec(stdout)?.[1] ?? Number.NaN);
    if (Number.isSafeInteger(bytes)) capacities.set(target, bytes);
  } catch (error) {
    // What has no size is told by whoever needs it.
    if (!(error instanceof LandfallError) || isAway(error)) throw error;
  }
}

/** Target, capacity, allocation, physical; dashes where there is no medium. */
function parseCapacities(domblkinfo: string): Map<string, number> {
  const rows = domblkinfo.matchAll(/^\s*(\S+)\s+(\d+)\s+\S+\s+\S+\s*$/gm);
  return new Map([...rows].map(([, target = '', capacity = '']) => [target, Number(capacity)]));
}

function noSuchDomain(failure: {
  virsh: Virsh;
  selector: DomainSelector;
  listed: readonly Listed[];
}): LandfallError {
  const { virsh, selector, listed } = failure;
  const names = listed.slice(0, NAMES_IN_MESSAGES).map(({ name }) => name);
  const more = listed.length > names.length ? ` and ${listed.length - names.length} more` : '';
  const there = names.length === 0 ? 'there is none' : `there are ${names.join(', ')}${more}`;
  const { uuid, name, tag, host } = selector;
  const wanted = [
    ...[uuid, name].filter((each) => each !== undefined).map((each) => JSON.stringify(each)),
    ...(tag === undefined ? [] : [`with the tag ${JSON.stringify(tag)}`]),
    ...(host === undefined ? [] : [`on the host ${JSON.stringify(host)}`]),
  ].join(' ');
  return new LandfallError({
    code: 'not-found',
    message: `${virsh.uri} has no domain ${wanted}: ${there}. Set \`name\` or \`uuid\` to one of these, or see that \`tag\` and \`host\` fit one.`,
    context: { uri: virsh.uri, domain: wanted },
  });
}
