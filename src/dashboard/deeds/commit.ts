/** Commit: the way back ends. */
import { commitMachines } from '../../operations/commit.ts';
import type { Preview } from '../api/action.ts';
import { type Deed, type DeedInput, machinesAre, nameSome, namesOf } from './deed.ts';

export const commit: Deed = {
  preview: previewCommit,
  async perform({ run, machines, app, deps, reason, signal }) {
    const control = app.openSource(run.wave).control ?? null;
    const done = await commitMachines({ run, machines, reason }, { ...deps, control, signal });
    const changed = done.filter(({ isChanged }) => isChanged).map(({ machine }) => machine);
    const unnoted = done.flatMap(({ machine, noteFailure }) =>
      noteFailure === null ? [] : [`${machine}: its source has no note of it: ${noteFailure}`],
    );
    const said =
      changed.length === 0 ? 'Nothing was left to commit.' : `${machinesAre(changed.length)} committed.`;
    return { message: [said, ...unnoted].join(' '), changed };
  },
};

function previewCommit({ run, machines }: DeedInput): Preview {
  const landed = machines.filter(({ status }) => status === 'landed');
  const fresh = landed.filter(({ committedAt }) => committedAt === null);
  const others = machines.length - landed.length;
  return {
    consequences: [
      `There is no way back any more for ${nameSome(namesOf(fresh))}: no rollback takes ${fresh.length === 1 ? 'it' : 'them'} to the source again.`,
      'Where the source takes notes, one says there where each machine lives now.',
      'Nothing is deleted at the source.',
      ...(others === 0 ? [] : [`${others} of these have not landed: they are left as they are.`]),
    ],
    machines: namesOf(fresh),
    refusal: refusalFor(run.id, { landed: landed.length, fresh: fresh.length }),
    isReversible: false,
  };
}

function refusalFor(run: string, { landed, fresh }: { landed: number; fresh: number }): string | null {
  if (landed === 0) return `None of these machines of ${run} has landed: there is nothing to commit.`;
  return fresh === 0 ? 'All of these that landed are committed already.' : null;
}
