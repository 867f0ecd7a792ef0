/**
 * Waits for snapshots that were written block by block: AWS completes them some time after it was asked to. There is no
 * import task, and nothing counts against the limit of tasks.
 */
import { LandfallError } from '../../../src/domain/errors.ts';
import type { Artifact } from '../../../src/domain/landing.ts';
import type { StepContext, StepOutcome } from '../../../src/domain/ports.ts';
import type { Aws } from './clients.ts';
import { snapshotThing, stateOf } from './ebs-snapshot.ts';
import { mayNotBeVisibleYet, pollDelayMs } from './import-task.ts';
import { describeSnapshot } from './removal.ts';

export const SNAPSHOT_KIND = 'ebs-snapshot';

export async function awaitSnapshot(
  aws: Aws,
  { artifact, context }: { artifact: Artifact; context: StepContext },
): Promise<StepOutcome<{ snapshotId: string }>> {
  const snapshotId = snapshotIdOf(artifact);
  // The open entry: how long AWS is at it. A stale lease is refused here.
  const entry = await context.ledger.intend(snapshotThing(artifact.disk, passOf(artifact)));
  const snapshot = await describeSnapshot(aws, snapshotId, context.signal);
  const isNew = snapshot === null && (await mayNotBeVisibleYet(entry, context));
  const state = snapshot === null ? (isNew ? 'pending' : 'lost') : stateOf(snapshot);
  switch (state) {
    case 'completed':
      return { kind: 'done', value: { snapshotId } };
    case 'pending': {
      const afterMs = await pollDelayMs(entry, context);
      return { kind: 'wait', afterMs, note: `snapshot ${snapshot?.Progress ?? 'not listed yet'}` };
    }
    case 'lost': {
      const reason = snapshot?.StateMessage || (snapshot === null ? 'it is gone' : `state ${snapshot.State}`);
      const message = `The snapshot ${snapshotId} of ${context.machine} disk ${artifact.disk} cannot be landed: ${reason}. Discard the machine, then retry it: its disk is sent anew.`;
      throw new LandfallError({ code: 'import-failed', message, context: { snapshotId } });
    }
    default:
      return state satisfies never;
  }
}

function passOf({ ref: { pass } }: Artifact): number {
  return typeof pass === 'number' ? pass : 0;
}

function snapshotIdOf({ disk, ref: { snapshotId } }: Artifact): string {
  if (typeof snapshotId === 'string') return snapshotId;
  throw new TypeError(`the artifact of disk ${disk} names no snapshot`);
}
