/** What the actions of S3 work on. */
import { createHash } from 'node:crypto';
import type { Account } from '../account.ts';
import type { Store } from '../store.ts';
import type { XmlObject } from '../xml.ts';
import type { Locks } from './locks.ts';
import type { ObjectStore } from './object-store.ts';
import type { Spool } from './spool.ts';
import type { UploadStore } from './upload-store.ts';

export type Bucket = {
  name: string;
  region: string;
  /** Milliseconds since the epoch. */
  createdAt: number;
};

export type S3State = {
  account: Account;
  buckets: Store<Record<string, Bucket>>;
  objects: ObjectStore;
  uploads: UploadStore;
  spool: Spool;
  locks: Locks;
  /** Milliseconds since the epoch. */
  now(): number;
  /** Fires when the sandbox stops: long work on disk ends. */
  stopping: AbortSignal;
};

export function findBucket({ buckets }: S3State, name: string): Bucket | null {
  const all = buckets.read();
  return Object.hasOwn(all, name) ? (all[name] ?? null) : null;
}

/** Serialises the conditional writes of one key. */
export function objectLock(bucket: string, key: string): string {
  return `object/${bucket}/${key}`;
}

export function uploadLock(id: string): string {
  return `upload/${id}`;
}

/** The canonical user behind an account, as listings show it. */
export function ownerOf({ account }: S3State): XmlObject {
  return { ID: createHash('sha256').update(account.accountId).digest('hex'), DisplayName: 'landfall' };
}
