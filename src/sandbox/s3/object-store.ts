/**
 * Objects on disk: `data/ID` holds the bytes, `objects/BUCKET/HASH.json` says what they are. The second is renamed into
 * place after the first is whole, so a kill leaves either the old object or the new one. All descriptions are in memory.
 */
import { createHash, randomUUID } from 'node:crypto';
import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { readJson, writeJson } from '../store.ts';
import type { ObjectAttributes } from './attributes.ts';
import type { Checksum } from './checksum.ts';

export type HeldObject = {
  bucket: string;
  key: string;
  /** Name of the file under `data/`. */
  file: string;
  bytes: number;
  /** Without quotes. */
  etag: string;
  /** Milliseconds since the epoch. */
  modifiedAt: number;
  attributes: ObjectAttributes;
  checksum: Checksum | null;
  /** The multipart upload it came from: a kill may have left that upload's parts behind. */
  uploadId: string | null;
};

export type ObjectStore = {
  find(bucket: string, key: string): HeldObject | null;
  /** In the order of the keys' UTF-8 bytes. */
  list(bucket: string): readonly HeldObject[];
  /** Where the object's bytes are. */
  pathOf(object: HeldObject): string;
  /** Takes the file over and puts the object in the place of an earlier one. */
  put(object: Omit<HeldObject, 'file'>, fromPath: string): Promise<HeldObject>;
  /** As put, where only the description changes. */
  describe(object: HeldObject): Promise<void>;
  remove(bucket: string, key: string): Promise<void>;
};

export async function openObjectStore(folder: string): Promise<ObjectStore> {
  const data = join(folder, 'data');
  const descriptions = join(folder, 'objects');
  await mkdir(data, { recursive: true });
  await mkdir(descriptions, { recursive: true });
  const buckets = await loadObjects(descriptions);
  await removeOrphans(data, buckets);

  const find = (bucket: string, key: string) => buckets.get(bucket)?.get(key) ?? null;
  const pathOf = (object: HeldObject) => join(data, object.file);
  const describe = async (object: HeldObject): Promise<void> => {
    await mkdir(join(descriptions, object.bucket), { recursive: true });
    await writeJson(descriptionFile(descriptions, object), object);
    const keys = buckets.get(object.bucket) ?? new Map<string, HeldObject>();
    buckets.set(object.bucket, keys.set(object.key, object));
  };
  return {
    find,
    pathOf,
    describe,
    list: (bucket) => [...(buckets.get(bucket)?.values() ?? [])].sort(byKey),
    async put(object, fromPath) {
      const held: HeldObject = { ...object, file: randomUUID() };
      const before = find(object.bucket, object.key);
      await rename(fromPath, pathOf(held));
      await describe(held);
      if (before !== null) await rm(pathOf(before), { force: true });
      return held;
    },
    async remove(bucket, key) {
      const object = find(bucket, key);
      if (object === null) return;
      await rm(descriptionFile(descriptions, object), { force: true });
      buckets.get(bucket)?.delete(key);
      await rm(pathOf(object), { force: true });
    },
  };
}

async function loadObjects(folder: string): Promise<Map<string, Map<string, HeldObject>>> {
  const buckets = new Map<string, Map<string, HeldObject>>();
  for (const bucket of await readdir(folder)) {
    const keys = new Map<string, HeldObject>();
    for (const name of await readdir(join(folder, bucket))) {
      const object = name.endsWith('.json') ? await readJson<HeldObject>(join(folder, bucket, name)) : null;
      if (object !== null) keys.set(object.key, object);
    }
    buckets.set(bucket, keys);
  }
  return buckets;
}

/** Bytes whose description never came, or came to name another file, when an earlier sandbox was killed. */
async function removeOrphans(
  data: string,
  buckets: ReadonlyMap<string, ReadonlyMap<string, HeldObject>>,
): Promise<void> {
  const named = new Set<string>();
  for (const keys of buckets.values()) for (const { file } of keys.values()) named.add(file);
  for (const file of await readdir(data)) {
    if (!named.has(file)) await rm(join(data, file), { force: true });
  }
}

/** Keys may hold any character and 1,024 bytes; file names may not. */
function descriptionFile(folder: string, { bucket, key }: { bucket: string; key: string }): string {
  return join(folder, bucket, `${createHash('sha256').update(key).digest('hex')}.json`);
}

function byKey(left: HeldObject, right: HeldObject): number {
  return Buffer.compare(Buffer.from(left.key), Buffer.from(right.key));
}
