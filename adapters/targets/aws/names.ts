/**
 * Names and tags of what is made at AWS. All are functions of the ledger's token, so that what an attempt made just
 * before it was killed is found again and never made twice.
 */
import type { Tag } from '@aws-sdk/client-ec2';
import type { Container } from '../../../src/domain/image.ts';
import type { LedgerEntry } from '../../../src/domain/ports.ts';

export const RUN_TAG = 'landfall:run';
export const MACHINE_TAG = 'landfall:machine';
/** The ledger's token of the entry under which a thing was made. */
export const TOKEN_TAG = 'landfall:token';

/** What the bucket's objects carry instead of tags: tags of objects would need rights of their own. */
export const RUN_METADATA = 'landfall-run';
export const MACHINE_METADATA = 'landfall-machine';

export type ThingNames = { run: string; machine: string };

const EXTENSIONS: Record<Container, string> = {
  'vmdk-stream-optimized': 'vmdk',
  'vhd-fixed': 'vhd',
  raw: 'raw',
};

/** Where all objects of a run are. */
export function runPrefix(prefix: string, run: string): string {
  return `${prefix}${keySafe(run)}/`;
}

/** `PREFIX RUN / MACHINE / disk-0-TOKEN.vmdk`, without its extension: enough to find it again. */
export function objectStem(prefix: string, { run, machine, thing, token }: LedgerEntry): string {
  const disk = thing.slice(thing.indexOf(':') + 1);
  return `${runPrefix(prefix, run)}${keySafe(machine)}/disk-${keySafe(disk)}-${token}`;
}

export function objectKey(prefix: string, of: { entry: LedgerEntry; container: Container }): string {
  return `${objectStem(prefix, of.entry)}.${EXTENSIONS[of.container]}`;
}

/** Is this the name of an object that Landfall put there? */
export function isObjectKey(key: string): boolean {
  return /\/disk-[^/]+-[0-9a-f]{32}\.(vmdk|vhd|raw)$/.test(key);
}

/** AMI names: 3 to 128 of letters, digits and `()[] ./-'@_`. https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RegisterImage.html */
export function imageName({ machine, token }: LedgerEntry): string {
  return `landfall ${machine.replace(/[^A-Za-z0-9()[\] ./@_-]/g, '_').slice(0, 80)} ${token}`;
}

/** One for each run and VPC: shared by the machines of the run. */
export function quarantineName(run: string): string {
  return `landfall-quarantine-${run.replace(/[^A-Za-z0-9._-]/g, '_')}`.slice(0, 255);
}

/** Tags of a thing of one machine; ours win over the wave's. */
export function tagsFor(of: {
  entry: LedgerEntry;
  tags: Readonly<Record<string, string>>;
  extra: Readonly<Record<string, string>> | undefined;
  name: string;
}): Tag[] {
  const { entry, tags, extra, name } = of;
  const all = { Name: name, ...extra, ...tags, [TOKEN_TAG]: entry.token };
  return Object.entries(all).map(([Key, Value]) => ({ Key, Value }));
}

/** Value of a tag; null where there is none. */
export function tagValue(tags: readonly Tag[] | undefined, key: string): string | null {
  return tags?.find((tag) => tag.Key === key)?.Value ?? null;
}

/** Metadata travels in HTTP headers: ASCII only. */
export function objectMetadata({ run, machine }: ThingNames): Record<string, string> {
  return { [RUN_METADATA]: encodeURIComponent(run), [MACHINE_METADATA]: encodeURIComponent(machine) };
}

/** Whose disk the object is; null where the key is none of ours. */
export function machineOfKey(key: string, { prefix, run }: { prefix: string; run: string }): string | null {
  const start = runPrefix(prefix, run);
  if (!key.startsWith(start) || !isObjectKey(key)) return null;
  const [machine = ''] = key.slice(start.length).split('/');
  return decodeURIComponent(machine.replace(/_([0-9A-F]{2})/g, '%$1'));
}

/** Letters, digits, dots and dashes, which S3 keys, URLs and shells all take as they are; the rest as `_XX`, byte by byte. */
function keySafe(text: string): string {
  const encoded = encodeURIComponent(text).replaceAll('_', '%5F');
  return encoded.replace(/[!~*'()]/g, hexOf).replaceAll('%', '_');
}

function hexOf(character: string): string {
  return `%${character.charCodeAt(0).toString(16).toUpperCase()}`;
}
