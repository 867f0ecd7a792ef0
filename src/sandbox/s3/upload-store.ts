/**
 * Multipart uploads on disk: a folder each, with `upload.json`, and per part its bytes and `PART.json`, which names them.
 * The latter is renamed into place after the bytes are whole: a part is held or it is not. Descriptions are in
 * memory, about 300 bytes a part.
 */
import { randomUUID } from 'node:crypto';
import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { readJson, writeJson } from '../store.ts';
import type { ObjectAttributes } from './attributes.ts';
import type { ChecksumAlgorithm, ChecksumType } from './checksum.ts';

export type Upload = {
  id: string;
  bucket: string;
  key: string;
  /** Milliseconds since the epoch. */
  initiatedAt: number;
  attributes: ObjectAttributes;
  checksum: { algorithm: ChecksumAlgorithm; type: ChecksumType } | null;
};

export type HeldPart = {
  number: number;
  file: string;
  bytes: number;
  /** Hexadecimal MD5, without quotes. */
  etag: string;
  modifiedAt: number;
  /** Of the upload's algorithm. */
  checksum: string | null;
};

export type UploadStore = {
  find(id: string): Upload | null;
  list(bucket: string): readonly Upload[];
  create(upload: Upload): Promise<void>;
  /** By number. */
  parts(id: string): readonly HeldPart[];
  pathOf(id: string, part: HeldPart): string;
  /** Takes the file over; a part of the same number is replaced. */
  putPart(id: string, part: Omit<HeldPart, 'file'>, fromPath: string): Promise<void>;
  remove(id: string): Promise<void>;
};

type Open = { upload: Upload; parts: Map<number, HeldPart> };

const UPLOAD_FILE = 'upload.json';

/** `isFinished` tells of an upload whose object stands already: what a kill left of it is removed. */
export async function openUploadStore(
  folder: string,
  isFinished: (upload: Upload) => boolean,
): Promise<UploadStore> {
  await mkdir(folder, { recursive: true });
  const uploads = new Map<string, Open>();
  for (const id of await readdir(folder)) {
    const open = await loadUpload(join(folder, id));
    if (open === null || isFinished(open.upload)) await removeFolder(join(folder, id));
    else uploads.set(id, open);
  }

  const pathOf = (id: string, part: HeldPart) => join(folder, id, part.file);
  return {
    pathOf,
    find: (id) => uploads.get(id)?.upload ?? null,
    list: (bucket) =>
      [...uploads.values()].map(({ upload }) => upload).filter((upload) => upload.bucket === bucket),
    parts: (id) => [...(uploads.get(id)?.parts.values() ?? [])].sort((a, b) => a.number - b.number),
    async create(upload) {
      await mkdir(join(folder, upload.id));
      await writeJson(join(folder, upload.id, UPLOAD_FILE), upload);
      uploads.set(upload.id, { upload, parts: new Map() });
    },
    async putPart(id, part, fromPath) {
      const open = uploads.get(id);
      if (open === undefined) throw new Error(`upload ${id} is gone`);
      const held: HeldPart = { ...part, file: `${part.number}-${randomUUID()}` };
      const before = open.parts.get(part.number);
      await rename(fromPath, pathOf(id, held));
      await writeJson(join(folder, id, `${part.number}.json`), held);
      open.parts.set(part.number, held);
      if (before !== undefined) await rm(pathOf(id, before), { force: true });
    },
    async remove(id) {
      uploads.delete(id);
      await removeFolder(join(folder, id));
    },
  };
}

async function loadUpload(folder: string): Promise<Open | null> {
  const upload = await readJson<Upload>(join(folder, UPLOAD_FILE));
  if (upload === null) return null;
  const names = await readdir(folder);
  const parts = new Map<number, HeldPart>();
  for (const name of names.filter((name) => /^\d+\.json$/.test(name))) {
    const part = await readJson<HeldPart>(join(folder, name));
    if (part !== null) parts.set(part.number, part);
  }
  const files = new Set([...parts.values()].map(({ file }) => file));
  for (const name of names.filter((name) => !name.endsWith('.json') && !files.has(name))) {
    await rm(join(folder, name), { force: true });
  }
  return { upload, parts };
}

async function removeFolder(folder: string): Promise<void> {
  await rm(folder, { recursive: true, force: true });
}
