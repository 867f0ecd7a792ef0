/**
 * Snapshots under way: takes their blocks, gives up those that nobody writes to any more, and completes them. What a
 * killed sandbox left is taken up again: blocks that were acknowledged are there, completions go on.
 */
import { access, rename, rm } from 'node:fs/promises';
import { setTimeout as wait } from 'node:timers/promises';
import type { BlockWrites, Ec2Cloud } from '../ec2/cloud.ts';
import { collectSnapshotFile } from '../ec2/snapshots.ts';
import type { BlockWriting, Completion, Snapshot } from '../ec2/state.ts';
import { BLOCK_BYTES } from './block-file.ts';
import { type Block, type HeldSnapshot, holdSnapshot } from './held-snapshot.ts';
import { takeParentBlocks } from './parent-blocks.ts';
import { invalid, noSuchSnapshot } from './refusals.ts';

export type SnapshotWrites = BlockWrites & {
  /** Makes the files of a snapshot that was just recorded. */
  open(snapshotId: string): Promise<void>;
  /** Throws ResourceNotFoundException or ValidationException. */
  write(snapshotId: string, block: Block & { progress: number | null }): Promise<void>;
  /** Seals it, and gives its state. Throws ResourceNotFoundException or ValidationException. */
  complete(snapshotId: string, completion: Completion): Promise<Snapshot['state']>;
};

type Writable = Snapshot & { writing: BlockWriting };
type Sealing = { controller: AbortController; ended: Promise<void> };

/** The recorded time of the last write may be so old. */
const TOUCH_MS = 60_000;
const MINUTE_MS = 60_000;

export async function openSnapshotWrites(cloud: Ec2Cloud): Promise<SnapshotWrites> {
  const { store, files, clock } = cloud;
  const holding = new Map<string, Promise<HeldSnapshot>>();
  const held = new Map<string, HeldSnapshot>();
  const sealings = new Map<string, Sealing>();

  const find = (id: string): Snapshot | undefined => {
    const { snapshots } = store.read();
    return Object.hasOwn(snapshots, id) ? snapshots[id] : undefined;
  };
  const hold = (snapshot: Snapshot): Promise<HeldSnapshot> => {
    const { id } = snapshot;
    const known = holding.get(id);
    if (known !== undefined) return known;
    const opened = holdSnapshot(files, snapshot);
    holding.set(id, opened);
    opened.then(
      (snapshot) => held.set(id, snapshot),
      () => holding.delete(id),
    );
    return opened;
  };
  const letGo = async (id: string): Promise<void> => {
    const opened = await holding.get(id)?.catch(() => null);
    await opened?.close();
    holding.delete(id);
    held.delete(id);
  };
  const isOverdue = (snapshot: Snapshot): boolean => {
    const { id, state, writing } = snapshot;
    if (state !== 'pending' || writing === undefined || writing.completion !== null) return false;
    const touchedAt = held.get(id)?.touchedAt ?? writing.touchedAt;
    return clock.now() > touchedAt + writing.timeoutMinutes * MINUTE_MS;
  };
  const discard = async (id: string): Promise<void> => {
    sealings.get(id)?.controller.abort(new Error(`${id} was deleted`));
    await sealings.get(id)?.ended;
    await letGo(id);
    await Promise.all(
      [files.partialSnapshot(id), files.blockLog(id)].map((path) => rm(path, { force: true })),
    );
  };
  const settle = async (): Promise<void> => {
    const overdue = Object.values(store.read().snapshots).filter(isOverdue);
    if (overdue.length === 0) return;
    const given = await store.update(({ snapshots }) => {
      const late = overdue.flatMap(({ id }) => snapshots[id] ?? []).filter(isOverdue);
      for (const snapshot of late) {
        const { writing } = snapshot;
        const stateMessage = `No block was written and it was not completed within ${writing?.timeoutMinutes} minutes.`;
        Object.assign(snapshot, { state: 'error', stateMessage });
      }
      return late;
    });
    for (const { id, writing } of given) {
      cloud.log('warn', `Snapshot ${id} was given up: its timeout ran out`, { snapshot: id });
      await discard(id);
      if (writing?.parentId) await collectSnapshotFile(cloud, writing.parentId);
    }
  };
  /** Given up first where its time ran out. */
  const requireWritable = async (id: string): Promise<Writable> => {
    const known = find(id);
    if (known !== undefined && isOverdue(known)) await settle();
    return checkWritable(id, find(id));
  };
  const seal = (id: string): void => {
    if (sealings.has(id)) return;
    const controller = new AbortController();
    const ended = sealSnapshot({ cloud, id, hold, letGo, signal: controller.signal })
      .catch(async (error: unknown) => {
        if (controller.signal.aborted) return;
        await failSnapshot(cloud, id, error);
        await letGo(id);
      })
      .finally(() => sealings.delete(id));
    sealings.set(id, { controller, ended });
  };
  const touch = (snapshot: Writable, opened: HeldSnapshot, progress: number | null): void => {
    opened.touchedAt = clock.now();
    opened.progress = progress ?? opened.progress;
    if (opened.touchedAt - snapshot.writing.touchedAt < TOUCH_MS) return;
    recordTouch(cloud, snapshot.id, opened);
  };

  for (const { id, state, writing } of Object.values(store.read().snapshots)) {
    if (state === 'pending' && writing !== undefined && writing.completion !== null) seal(id);
  }
  return {
    settle,
    discard,
    progress: (id) => held.get(id)?.progress ?? find(id)?.writing?.progress ?? 0,
    async open(id) {
      await hold(await requireWritable(id));
    },
    async write(id, { progress, ...block }) {
      const snapshot = await requireWritable(id);
      if (block.index * BLOCK_BYTES >= snapshot.bytes) {
        throw invalid('INVALID_BLOCK', `Block ${block.index} is beyond the volume's end.`);
      }
      const opened = await hold(snapshot);
      if (opened.isClosed) throw notWritable(id);
      touch(snapshot, opened, progress);
      await opened.write(block);
      if (find(id) === undefined) throw noSuchSnapshot(id);
    },
    async complete(id, completion) {
      await settle();
      const snapshot = find(id);
      const earlier = snapshot?.writing?.completion;
      // An answer that was lost: the same request again says how far it is.
      if (snapshot !== undefined && earlier && isSame(earlier, completion)) return snapshot.state;
      const opened = await hold(await requireWritable(id));
      opened.isClosed = true;
      try {
        await opened.idle();
        checkCompletion(opened, completion);
        await store.update(({ snapshots }) => {
          const { writing } = checkWritable(id, snapshots[id]);
          Object.assign(writing, { completion, progress: opened.progress });
        });
      } catch (error) {
        opened.isClosed = false;
        throw error;
      }
      seal(id);
      return 'pending';
    },
    async [Symbol.asyncDispose]() {
      for (const { controller } of sealings.values()) controller.abort(new Error('the sandbox ends'));
      await Promise.all([...sealings.values()].map(({ ended }) => ended));
      await Promise.all([...holding.keys()].map(letGo));
    },
  };
}

type SealOptions = {
  cloud: Ec2Cloud;
  id: string;
  hold: (snapshot: Snapshot) => Promise<HeldSnapshot>;
  letGo: (id: string) => Promise<void>;
  signal: AbortSignal;
};

/** May be begun again at any point of it. */
async function sealSnapshot({ cloud, id, hold, letGo, signal }: SealOptions): Promise<void> {
  const { store, files, clock } = cloud;
  await wait(cloud.limits.sealingMs, undefined, { signal });
  const snapshot = store.read().snapshots[id];
  if (snapshot?.writing === undefined) return;
  if (!(await exists(files.snapshot(id)))) {
    await takeParentBlocks({ cloud, snapshot, held: await hold(snapshot), signal });
    await letGo(id);
    await rename(files.partialSnapshot(id), files.snapshot(id));
  }
  await store.update(({ snapshots }) => {
    if (snapshots[id] !== undefined)
      Object.assign(snapshots[id], { state: 'completed', completedAt: clock.now() });
  });
  await letGo(id);
  await rm(files.blockLog(id), { force: true });
  if (snapshot.writing.parentId !== null) await collectSnapshotFile(cloud, snapshot.writing.parentId);
}

async function failSnapshot(cloud: Ec2Cloud, id: string, error: unknown): Promise<void> {
  cloud.log('error', `Completing the snapshot ${id} failed: ${String(error)}`, { snapshot: id });
  await cloud.store.update(({ snapshots }) => {
    const stateMessage = 'An internal error has occurred.';
    if (snapshots[id] !== undefined) Object.assign(snapshots[id], { state: 'error', stateMessage });
  });
}

/** Nobody waits for it: a snapshot that is given up a minute too early after a kill is no loss. */
function recordTouch({ store, log }: Ec2Cloud, id: string, { touchedAt, progress }: HeldSnapshot): void {
  store
    .update(({ snapshots }) => {
      const writing = snapshots[id]?.writing;
      if (writing !== undefined) Object.assign(writing, { touchedAt, progress });
    })
    .catch((error: unknown) => log('error', `The sandbox could not save its state: ${String(error)}`));
}

function checkWritable(id: string, snapshot: Snapshot | undefined): Writable {
  if (snapshot === undefined) throw noSuchSnapshot(id);
  const { state, writing } = snapshot;
  if (state !== 'pending' || writing === undefined || writing.completion !== null)
    throw notWritable(id, state);
  return { ...snapshot, writing };
}

function notWritable(id: string, state = 'pending') {
  const message = `The snapshot '${id}' takes no blocks: it is in the state '${state}' or being completed.`;
  return invalid('INVALID_SNAPSHOT_ID', message);
}

function checkCompletion({ log }: HeldSnapshot, { changedBlocksCount, checksum }: Completion): void {
  if (log.count !== changedBlocksCount) {
    const message = `ChangedBlocksCount is ${changedBlocksCount}, but ${log.count} blocks were written.`;
    throw invalid('INVALID_PARAMETER_VALUE', message);
  }
  if (checksum !== null && log.linear().toString('base64') !== checksum) {
    throw invalid('INVALID_PARAMETER_VALUE', 'The checksum is not that of the blocks that were written.');
  }
}

function isSame(left: Completion, right: Completion): boolean {
  return left.changedBlocksCount === right.changedBlocksCount && left.checksum === right.checksum;
}

async function exists(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  );
}
