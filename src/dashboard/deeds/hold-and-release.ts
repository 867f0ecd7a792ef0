/** Hold and release: a run as a whole, or machines of it. */
import { holdMachine, releaseMachine } from '../../domain/machine-changes.ts';
import { holdMachines, refuseRelease, releaseMachines } from '../../operations/steer.ts';
import { holdWholeRun, releaseWholeRun } from '../../operations/steer-run.ts';
import type { Preview } from '../api/action.ts';
import { type Deed, type DeedInput, machines, machinesAre, nameSome, namesOf } from './deed.ts';
import { refusalOf, refusalOfLater } from './refusal.ts';
import { rehearse } from './rehearsal.ts';
import { describeMoves } from './whole-run.ts';

export const hold: Deed = {
  preview: (of) => (of.isWhole ? previewHoldRun(of) : previewHoldMachines(of)),
  async perform({ run, isWhole, machines: meant, deps, reason }) {
    if (!isWhole) {
      const changed = await holdMachines({ run, machines: meant, reason }, deps);
      return { message: `${machinesAre(changed.length)} held.`, changed };
    }
    const { isChanged } = await holdWholeRun({ run, reason }, deps);
    const message = isChanged
      ? `Run ${run.id} is held: nothing begins; steps that run come to their end.`
      : `Run ${run.id} was held already.`;
    return { message, changed: isChanged ? [run.id] : [] };
  },
};

export const release: Deed = {
  preview: (of) => (of.isWhole ? previewReleaseRun(of) : previewReleaseMachines(of)),
  async perform({ run, isWhole, machines: meant, deps, reason }) {
    if (!isWhole) {
      const changed = await releaseMachines({ run, machines: meant, reason }, deps);
      return { message: `${machines(changed.length)} released.`, changed };
    }
    const said = await releaseWholeRun({ run, reason }, deps);
    const message = said.isChanged ? `Run ${run.id} goes on.` : `Run ${run.id} is not held.`;
    return { message, changed: said.isChanged ? [run.id] : [] };
  },
};

async function previewHoldRun({ run, all, deps }: DeedInput): Promise<Preview> {
  const refusal =
    run.hold === null
      ? await refusalOfLater(() => holdWholeRun({ run, reason: null }, rehearse(deps)))
      : `Run ${run.id} is held already, by ${run.hold.by}.`;
  const moving = all.filter(({ status }) => status === 'moving').length;
  return {
    consequences: [
      'No machine starts and no step begins, until the run is released.',
      ...(moving === 0 ? [] : [`${machinesAre(moving)} on the move: steps that run come to their end.`]),
      'Rollbacks go on.',
      ...(run.window === null ? [] : ['The window does not wait: it closes when it would have.']),
    ],
    machines: [],
    refusal,
    isReversible: true,
  };
}

function previewHoldMachines({ machines: meant }: DeedInput): Preview {
  const held = meant.filter((record) => holdMachine(record) !== null);
  const moving = held.filter(({ status }) => status === 'moving').length;
  return {
    consequences: [
      `${machinesAre(held.length)} held where ${held.length === 1 ? 'it is' : 'they are'}: ${nameSome(namesOf(held))}.`,
      ...(moving === 0
        ? []
        : [`${machinesAre(moving)} on the move: what runs stops, and goes on from there once released.`]),
      'What comes after them waits.',
    ],
    machines: namesOf(held),
    refusal: held.length > 0 ? null : 'None of these can be held: they are at rest, or go back.',
    isReversible: true,
  };
}

async function previewReleaseRun({ run, all, deps }: DeedInput): Promise<Preview> {
  const refusal =
    run.hold === null
      ? `Run ${run.id} is not held.`
      : await refusalOfLater(() => releaseWholeRun({ run, reason: null }, rehearse(deps)));
  const stillHeld = all.filter(({ status }) => status === 'held');
  return {
    consequences: [
      `The run goes on. ${describeMoves(run, all)}`,
      'Failures of its groups that were seen until now do not hold it again.',
      ...(stillHeld.length === 0
        ? []
        : [`Held by themselves, and still so afterwards: ${nameSome(namesOf(stillHeld))}.`]),
    ],
    machines: [],
    refusal,
    isReversible: true,
  };
}

function previewReleaseMachines({ run, machines: meant, now }: DeedInput): Preview {
  const released = meant.filter((record) => releaseMachine(record) !== null);
  const failed = released.filter(({ error }) => error !== null).length;
  return {
    consequences: [
      `${machines(released.length)} ${released.length === 1 ? 'goes' : 'go'} on from where ${released.length === 1 ? 'it was' : 'they were'} held: ${nameSome(namesOf(released))}.`,
      ...(failed === 0 ? [] : [`${failed} of them failed: what failed is tried again.`]),
      ...(run.hold === null ? [] : ['Nothing moves before the run is released, too.']),
    ],
    machines: namesOf(released),
    refusal:
      released.length === 0
        ? 'None of these is held.'
        : refusalOf(() => refuseRelease({ run, machines: released }, now)),
    isReversible: true,
  };
}
