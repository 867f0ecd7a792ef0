/**
 * Reading completed snapshots: which blocks they hold, which differ between two, and their bytes. The file is the only
 * truth, so that all snapshots can be read, however they were made; blocks of zeros are not listed.
 * https://docs.aws.amazon.com/ebs/latest/userguide/readsnapshots.html
 */
import { hash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import type { Snapshot } from '../ec2/state.ts';
import type { HttpAnswer, HttpRequest } from '../http.ts';
import { BLOCK_BYTES, findBlocks, isZero, readBlock } from './block-file.ts';
import { answerJson, type EbsDesk } from './desk.ts';
import { invalid, invalidParameter, noSuchSnapshot } from './refusals.ts';
import { checkSnapshotId, type EbsCall, readWhole } from './requests.ts';

/** AWS's tokens are good for seven days. */
const TOKEN_LIFE_MS = 7 * 24 * 60 * 60 * 1000;
const MIN_PAGE = 100;
const MAX_PAGE = 10_000;
/** So much of a file is looked at for one page at most; as at AWS, a page may hold less than was asked for. */
const MAX_SCANNED_BLOCKS = 2048;

type Ask = { desk: EbsDesk; call: EbsCall; http: HttpRequest };

export async function getSnapshotBlock({ desk, call, http }: Ask): Promise<HttpAnswer> {
  const snapshot = requireReadable(desk, call.snapshotId);
  const index = call.blockIndex ?? 0;
  if (index * BLOCK_BYTES >= volumeBytes(snapshot)) {
    throw invalid('INVALID_BLOCK', `Block ${index} is beyond the volume's end.`);
  }
  const token = http.query.get('blockToken');
  if (token === null) throw invalidParameter('The request must contain the parameter blockToken.');
  if (desk.tokens.read(blockScope(snapshot), token, desk.clock.now()) !== index) {
    throw invalid('INVALID_BLOCK_TOKEN', `The block token is not one of block ${index}, or has expired.`);
  }
  await using file = await open(desk.files.snapshot(snapshot.id), 'r');
  const bytes = await readBlock(file, index, Buffer.allocUnsafe(BLOCK_BYTES));
  return {
    status: 200,
    headers: {
      'content-type': 'application/octet-stream',
      'x-amz-data-length': String(BLOCK_BYTES),
      'x-amz-checksum': hash('sha256', bytes, 'base64'),
      'x-amz-checksum-algorithm': 'SHA256',
    },
    body: { kind: 'bytes', bytes },
  };
}

export async function listSnapshotBlocks({ desk, call, http }: Ask): Promise<HttpAnswer> {
  const snapshot = requireReadable(desk, call.snapshotId);
  const { Blocks, ...page } = await listPage({
    desk,
    http,
    second: snapshot,
    first: null,
    entryOf: ({ BlockIndex, SecondBlockToken }) => ({ BlockIndex, BlockToken: SecondBlockToken }),
  });
  return answerJson(200, { Blocks, ...page });
}

export async function listChangedBlocks({ desk, call, http }: Ask): Promise<HttpAnswer> {
  const second = requireReadable(desk, call.snapshotId);
  const firstId = http.query.get('firstSnapshotId');
  if (firstId !== null) checkSnapshotId(firstId);
  const first = firstId === null ? null : requireReadable(desk, firstId);
  if (first !== null && lineageOf(first) !== lineageOf(second)) {
    throw invalid(
      'UNRELATED_SNAPSHOTS',
      `'${first.id}' and '${second.id}' are not of one line of snapshots.`,
    );
  }
  const { Blocks, ...page } = await listPage({ desk, http, second, first, entryOf: (block) => block });
  return answerJson(200, { ChangedBlocks: Blocks, ...page });
}

type ListedBlock = { BlockIndex: number; FirstBlockToken?: string; SecondBlockToken: string };

type Listing<T> = {
  desk: EbsDesk;
  http: HttpRequest;
  second: Snapshot;
  /** null: every block that is not zero is listed. */
  first: Snapshot | null;
  entryOf: (block: ListedBlock) => T;
};

async function listPage<T>({ desk, http, second, first, entryOf }: Listing<T>) {
  const endsAt = desk.clock.now() + TOKEN_LIFE_MS;
  const scope = `page of ${first?.id ?? 'nothing'} ${second.id}`;
  const { start, limit } = readPage({ desk, http, scope });
  const tokenOf = (of: Snapshot, value: number) => desk.tokens.write(blockScope(of), { value, endsAt });
  const { changes, next } = await findChanges({ desk, first, second, start, limit, signal: http.signal });
  const Blocks = changes.map(({ index, isInFirst }) =>
    entryOf({
      BlockIndex: index,
      ...(first !== null && isInFirst ? { FirstBlockToken: tokenOf(first, index) } : {}),
      SecondBlockToken: tokenOf(second, index),
    }),
  );
  return {
    Blocks,
    ExpiryTime: endsAt / 1000,
    VolumeSize: second.volumeSizeGib,
    BlockSize: BLOCK_BYTES,
    ...(next === null ? {} : { NextToken: desk.tokens.write(scope, { value: next, endsAt }) }),
  };
}

/** Where a page token is given, it says where to start. */
function readPage({ desk, http, scope }: { desk: EbsDesk; http: HttpRequest; scope: string }) {
  const { query } = http;
  const wanted = query.has('maxResults') ? readWhole('MaxResults', query.get('maxResults') ?? '') : MAX_PAGE;
  if (wanted > MAX_PAGE || wanted === 0) {
    throw invalidParameter(`MaxResults is ${wanted}; it may be from ${MIN_PAGE} to ${MAX_PAGE}.`);
  }
  // The FAQ: fewer than 100 are not refused, but up to 100 come.
  const limit = Math.max(wanted, MIN_PAGE);
  const token = query.get('pageToken');
  if (token === null || token === '') {
    const start = query.get('startingBlockIndex');
    return { limit, start: start === null ? 0 : readWhole('StartingBlockIndex', start) };
  }
  const start = desk.tokens.read(scope, token, desk.clock.now());
  if (start === null)
    throw invalid('INVALID_PAGE_TOKEN', 'The page token is not one of this list, or has expired.');
  return { limit, start };
}

type Change = { index: number; isInFirst: boolean };

type Search = {
  desk: EbsDesk;
  first: Snapshot | null;
  second: Snapshot;
  start: number;
  limit: number;
  signal: AbortSignal;
};

/** `next` is null at the end. */
async function findChanges({ desk, first, second, start, limit, signal }: Search) {
  const changes: Change[] = [];
  await using stack = new AsyncDisposableStack();
  const sides = [];
  for (const snapshot of first === null ? [second] : [first, second]) {
    const path = desk.files.snapshot(snapshot.id);
    const file = stack.use(await open(path, 'r'));
    const { size } = await file.stat();
    sides.push({ file, path, size });
  }
  const spans = await Promise.all(
    sides.map(({ path, size }) =>
      findBlocks({ path, fromBytes: start * BLOCK_BYTES, endBytes: size, signal }),
    ),
  );
  const compare = createComparison(sides.map(({ file }) => file));
  let scanned = 0;
  for (const index of mergeAscending(spans)) {
    if (changes.length >= limit || scanned >= MAX_SCANNED_BLOCKS) return { changes, next: index };
    signal.throwIfAborted();
    scanned += 1;
    const change = await compare(index);
    if (change !== null) changes.push(change);
  }
  return { changes, next: null };
}

/** One file: null for zeros. Two: null where they do not differ. */
function createComparison(files: readonly FileHandle[]): (index: number) => Promise<Change | null> {
  const buffers = files.map(() => Buffer.allocUnsafe(BLOCK_BYTES));
  return async (index) => {
    const blocks = await Promise.all(
      files.map((file, side) => readBlock(file, index, buffers[side] ?? Buffer.allocUnsafe(BLOCK_BYTES))),
    );
    const [one, two] = blocks;
    if (one === undefined) return null;
    if (two === undefined) return isZero(one) ? null : { index, isInFirst: false };
    return one.equals(two) ? null : { index, isInFirst: !isZero(one) };
  };
}

function* mergeAscending(sources: readonly Generator<number>[]): Generator<number> {
  const heads = sources.map((source) => ({ source, next: source.next() }));
  for (;;) {
    const open = heads.flatMap(({ next }) => (next.done === true ? [] : [next.value]));
    if (open.length === 0) return;
    const least = Math.min(...open);
    yield least;
    for (const head of heads)
      if (head.next.done !== true && head.next.value === least) head.next = head.source.next();
  }
}

function requireReadable({ store }: EbsDesk, id: string): Snapshot {
  const { snapshots } = store.read();
  const snapshot = Object.hasOwn(snapshots, id) ? snapshots[id] : undefined;
  if (snapshot === undefined) throw noSuchSnapshot(id);
  if (snapshot.state !== 'completed') {
    throw invalid(
      'INVALID_SNAPSHOT_ID',
      `The snapshot '${id}' is in the state '${snapshot.state}', not completed.`,
    );
  }
  return snapshot;
}

function volumeBytes({ volumeSizeGib }: Snapshot): number {
  return volumeSizeGib * 1024 ** 3;
}

function lineageOf({ id, writing }: Snapshot): string {
  return writing?.lineage ?? id;
}

function blockScope({ id }: Snapshot): string {
  return `block of ${id}`;
}
