/** Snapshots: what imports and EBS direct leave, what images and volumes are made of. */
import { rm } from 'node:fs/promises';
import { textParameter } from '../query-form.ts';
import { defineEc2Action, type QueryActions } from '../query-protocol.ts';
import type { Ec2Cloud, Ec2Desk } from './cloud.ts';
import {
  cutPage,
  filterMembers,
  filterParameters,
  idsParameter,
  orderByCreation,
  pageParameters,
} from './query.ts';
import { refuse, requireMember } from './refusals.ts';
import type { Ec2State, Snapshot } from './state.ts';
import { describeTags } from './tags.ts';

export function snapshotActions(desk: Ec2Desk): QueryActions {
  return { DescribeSnapshots: describeSnapshots(desk), DeleteSnapshot: deleteSnapshot(desk) };
}

function describeSnapshots({ store, accountId, imports, writes }: Ec2Desk) {
  return defineEc2Action(
    {
      SnapshotId: idsParameter,
      Owner: idsParameter,
      RestorableBy: idsParameter,
      ...filterParameters,
      ...pageParameters,
    },
    async (input) => {
      await writes.settle();
      const { snapshots } = store.read();
      const named = input.SnapshotId?.map((id) =>
        requireMember({ members: snapshots, kind: 'snapshot', id }),
      );
      const isOurs = input.Owner?.every((owner) => owner !== 'self' && owner !== accountId) !== true;
      const progressOf = ({ id, state, writing }: Snapshot) => {
        if (state === 'completed') return 100;
        return writing === undefined ? imports.snapshotProgress(id) : writes.progress(id);
      };
      const page = cutPage({
        members: filterMembers({
          members: isOurs ? (named ?? Object.values(snapshots)) : [],
          filters: input.Filter,
          tags: (snapshot) => snapshot.tags,
          fields: {
            'snapshot-id': (snapshot) => snapshot.id,
            status: (snapshot) => snapshot.state,
            description: (snapshot) => snapshot.description,
            encrypted: (snapshot) => String(snapshot.encrypted),
            'volume-size': (snapshot) => String(snapshot.volumeSizeGib),
            'owner-id': () => accountId,
            progress: (snapshot) => `${progressOf(snapshot)}%`,
          },
        }),
        orderOf: orderByCreation,
        maxResults: input.MaxResults,
        nextToken: input.NextToken,
      });
      const snapshotSet = page.members.map((snapshot) => ({
        snapshotId: snapshot.id,
        // AWS names a volume that does not exist for snapshots that are made of no volume.
        volumeId: 'vol-ffffffff',
        status: snapshot.state,
        statusMessage: snapshot.stateMessage ?? null,
        startTime: new Date(snapshot.createdAt),
        completionTime: snapshot.completedAt === null ? null : new Date(snapshot.completedAt),
        progress: `${progressOf(snapshot)}%`,
        ownerId: accountId,
        volumeSize: snapshot.volumeSizeGib,
        description: snapshot.description,
        encrypted: snapshot.encrypted,
        kmsKeyId: snapshot.kmsKeyId,
        storageTier: 'standard',
        tagSet: describeTags(snapshot.tags),
      }));
      return { snapshotSet, nextToken: page.nextToken };
    },
  );
}

function deleteSnapshot(desk: Ec2Desk) {
  return defineEc2Action({ SnapshotId: textParameter }, async ({ SnapshotId: id }) => {
    await desk.store.update((state) => removeSnapshot(state, id));
    await desk.writes.discard(id);
    await collectSnapshotFile(desk, id);
    return { return: true };
  });
}

/** Throws InvalidSnapshot.InUse while an image or an import needs it. */
export function removeSnapshot(state: Ec2State, id: string): void {
  requireMember({ members: state.snapshots, kind: 'snapshot', id });
  const image = Object.values(state.images).find(({ blockDevices }) =>
    blockDevices.some((device) => device.snapshotId === id),
  );
  if (image !== undefined) {
    throw refuse('InvalidSnapshot.InUse', `The snapshot ${id} is currently in use by ${image.id}`);
  }
  const task = Object.values(state.importTasks).find(
    ({ status, disks }) => status === 'active' && disks.some((disk) => disk.snapshotId === id),
  );
  if (task !== undefined) {
    throw refuse('InvalidSnapshot.InUse', `The snapshot ${id} is currently in use by ${task.id}`);
  }
  delete state.snapshots[id];
}

/**
 * Volumes read through to their snapshot's file, and snapshots under way take their parent's blocks when they are
 * completed: so the file stays, though the snapshot is gone, until they are.
 */
export async function collectSnapshotFile({ store, files }: Ec2Cloud, id: string): Promise<void> {
  const { snapshots, volumes } = store.read();
  const isNeeded =
    Object.hasOwn(snapshots, id) ||
    Object.values(volumes).some((volume) => volume.snapshotId === id) ||
    Object.values(snapshots).some(({ state, writing }) => state === 'pending' && writing?.parentId === id);
  if (!isNeeded) await rm(files.snapshot(id), { force: true });
}
