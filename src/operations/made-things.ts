/** What a ledger entry made, in the words of `findTagged`: so `cleanup --dry-run`, `cleanup` and `discard` say the same. */
import type { JsonValue } from '../domain/json.ts';
import type { LedgerEntry } from '../domain/ports.ts';

export type MadeThing = { kind: string; id: string | null };

/** Ids in a reference, by their keys. A key that is not here holds no id of a thing of its own. */
const KIND_OF_KEY: Readonly<Record<string, string>> = {
  instanceId: 'instance',
  imageId: 'image',
  snapshotId: 'snapshot',
  snapshotIds: 'snapshot',
  groupId: 'security-group',
  taskId: 'import-task',
  virtualMachine: 'virtual-machine',
  networkInterface: 'network-interface',
};
const KIND_OF_THING: Readonly<Record<string, string>> = { quarantine: 'security-group', upload: 'object' };

/** An id of null: nobody wrote it down, it is looked for by the entry's token. */
export function listMade({ thing, ref }: Pick<LedgerEntry, 'thing' | 'ref'>): MadeThing[] {
  const [name = thing] = thing.split(':');
  // It changes an instance that another entry names.
  if (name === 'admission') return [];
  const known = Object.entries(ref ?? {}).flatMap(([key, value]) => {
    const kind = KIND_OF_KEY[key];
    return kind === undefined ? [] : idsOf(value).map((id) => ({ kind, id }));
  });
  // A task that has ended is nothing any more: what it made is.
  const things = known.length > 1 ? known.filter(({ kind }) => kind !== 'import-task') : known;
  const { bucket, key } = ref ?? {};
  if (typeof bucket === 'string' && typeof key === 'string')
    return [{ kind: 'object', id: `s3://${bucket}/${key}` }];
  // Where a name is all that a thing has, the entry says what it is.
  if (typeof ref?.name === 'string') return [{ kind: name, id: ref.name }];
  return things.length > 0 ? things : [{ kind: KIND_OF_THING[name] ?? name, id: null }];
}

function idsOf(value: JsonValue | undefined): string[] {
  const values = Array.isArray(value) ? value : [value];
  return values.filter((each) => typeof each === 'string');
}
