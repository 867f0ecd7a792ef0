/**
 * Names and tags of what is made at Azure. All are functions of the ledger's token, so that what an attempt made just
 * before it was killed is found again and never made twice.
 */
import { createHash } from 'node:crypto';
import type { LedgerEntry } from '../../../src/domain/ports.ts';

/**
 * Elsewhere Landfall's tags are `landfall:run` and so on. Azure forbids `<>%&\?/` in a tag's name, and some of its
 * services and tools `:` and `#` too; a dash passes everywhere.
 * https://learn.microsoft.com/azure/azure-resource-manager/management/tag-resources#limitations
 */
export const RUN_TAG = 'landfall-run';
export const MACHINE_TAG = 'landfall-machine';
/** The ledger's token of the entry under which a thing was made. */
export const TOKEN_TAG = 'landfall-token';

export type Tags = Record<string, string>;

const TOKEN_CHARACTERS = 32;
/** Of disks, snapshots, network interfaces and security groups. https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules */
const MAX_NAME_CHARACTERS = 80;
const MAX_VM_NAME_CHARACTERS = 64;
const MAX_WINDOWS_NAME_CHARACTERS = 15;
const MAX_TAG_CHARACTERS = 256;

/**
 * `MACHINE-LABEL-TOKEN`: letters, digits and dashes, beginning and ending with one of the former two, which every kind of
 * resource takes. `label` must be of those, too.
 */
export function resourceName(
  { machine, token }: Pick<LedgerEntry, 'machine' | 'token'>,
  { label, maxCharacters = MAX_NAME_CHARACTERS }: { label: string; maxCharacters?: number },
): string {
  const tail = `-${label}-${token}`;
  if (token.length !== TOKEN_CHARACTERS) throw new TypeError(`a token of ${token.length} characters`);
  return `${nameSafe(machine).slice(0, maxCharacters - tail.length)}${tail}`;
}

/** One for each run: shared by the machines of the run. A tail tells runs apart whose names are cut, or safe alike. */
export function quarantineName(run: string): string {
  const safe = nameSafe(run);
  const name = `landfall-quarantine-${safe}`;
  if (safe === run && name.length <= MAX_NAME_CHARACTERS) return name;
  const tail = `-${createHash('sha256').update(run).digest('hex').slice(0, 8)}`;
  return `${name.slice(0, MAX_NAME_CHARACTERS - tail.length)}${tail}`;
}

/**
 * What the operator calls the machine: Azure has no other name for it, and it cannot be changed later. A Windows guest's
 * is held to 15 characters, as Azure does.
 * https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules#microsoftcompute
 */
export function vmName({ name, isWindows }: { name: string; isWindows: boolean }): string {
  const maxCharacters = isWindows ? MAX_WINDOWS_NAME_CHARACTERS : MAX_VM_NAME_CHARACTERS;
  return nameSafe(name).slice(0, maxCharacters).replace(/-+$/, '');
}

/** A thing's place in a machine, for a name: `disk:0` is `disk-0`. */
export function labelOf(thing: string): string {
  return thing.replace(/[^A-Za-z0-9]+/g, '-').slice(0, 16);
}

/** Of a thing of one machine; ours win over the wave's. */
export function tagsFor(of: {
  entry: Pick<LedgerEntry, 'run' | 'machine' | 'token'>;
  extra: Readonly<Tags> | undefined;
}): Tags {
  const { entry, extra } = of;
  const own = { [RUN_TAG]: entry.run, [MACHINE_TAG]: entry.machine, [TOKEN_TAG]: entry.token };
  // Azure compares names without case, and refuses two that are the same.
  const others = Object.entries(extra ?? {}).filter(([name]) => !Object.hasOwn(own, name.toLowerCase()));
  return { ...Object.fromEntries(others), ...cut(own) };
}

/** null where there is none. Azure keeps the letters' case of a tag's name, and compares it without. */
export function tagValue(tags: Readonly<Tags> | undefined, key: string): string | null {
  const found = Object.entries(tags ?? {}).find(([name]) => name.toLowerCase() === key);
  return found?.[1] ?? null;
}

/** Was it made in this run? */
export function isOfRun(tags: Readonly<Tags> | undefined, run: string): boolean {
  return tagValue(tags, RUN_TAG) === run.slice(0, MAX_TAG_CHARACTERS);
}

function cut(tags: Tags): Tags {
  return Object.fromEntries(
    Object.entries(tags).map(([name, value]) => [name, value.slice(0, MAX_TAG_CHARACTERS)]),
  );
}

function nameSafe(text: string): string {
  const safe = text.replace(/[^A-Za-z0-9]+/g, '-').replace(/^-+|-+$/g, '');
  return safe === '' ? 'machine' : safe;
}
