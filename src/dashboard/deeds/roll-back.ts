/** Roll back: machines return to their source. */
import { rollBackMachine } from '../../domain/machine-changes.ts';
import { isControlled, type MachineRecord } from '../../domain/machine-record.ts';
import {
  findDependents,
  holdsLandingData,
  refuseRollBack,
  rollBackMachines,
} from '../../operations/roll-back.ts';
import type { Preview } from '../api/action.ts';
import { type Deed, type DeedInput, machinesAre, nameSome, namesOf } from './deed.ts';
import { refusalOf } from './refusal.ts';

export const rollback: Deed = {
  preview: previewRollBack,
  async perform({ run, machines, action, deps, reason }) {
    const { discardsLandingData } = action;
    const done = await rollBackMachines({ run, machines, reason, discardsLandingData }, deps);
    const changed = [...done.machines, ...done.cancelled];
    const said = [
      ...(done.machines.length === 0 ? [] : [`${machinesAre(done.machines.length)} on the way back.`]),
      ...(done.cancelled.length === 0 ? [] : [`${nameSome(done.cancelled)}: never begun, and cancelled.`]),
      ...(done.already.length === 0 ? [] : [`${nameSome(done.already)}: on the way back already, or back.`]),
    ];
    return { message: said.join(' ') || 'Nothing was to be taken back.', changed };
  },
};

function previewRollBack({ run, machines, all, action }: DeedInput): Preview {
  const { discardsLandingData } = action;
  const back = machines.filter((record) => rollBackMachine(record, null) !== null);
  const unbegun = machines.filter(({ startedAt, status }) => startedAt === null && status !== 'cancelled');
  const landed = back.filter(holdsLandingData);
  const on = back.filter(isControlled);
  const left = findDependents(run, new Set(namesOf(back)), all);
  return {
    consequences: [
      ...describeLoss(landed),
      `${machinesAre(back.length)} taken back: what was made of ${back.length === 1 ? 'it' : 'them'} at the target is deleted (${nameSome(namesOf(back)) || 'none'}).`,
      ...(on.length === 0
        ? []
        : [
            `${on.length === 1 ? 'Its source runs' : `The sources of ${on.length} run`} again, as when shut down.`,
          ]),
      ...(unbegun.length === 0 ? [] : [`Never begun, and cancelled: ${nameSome(namesOf(unbegun))}.`]),
      ...(left.length === 0
        ? []
        : [
            `${nameSome(left)} came after what goes back, and ${left.length === 1 ? 'stays' : 'stay'} where ${left.length === 1 ? 'it' : 'they'} moved to: see whether to roll back, too.`,
          ]),
    ],
    machines: namesOf([...back, ...unbegun]),
    refusal:
      back.length + unbegun.length === 0
        ? 'None of these can be taken back: they are back, or on the way.'
        : (refusalOf(() => refuseRollBack({ run, machines, discardsLandingData: true })) ??
          (discardsLandingData || landed.length === 0 ? null : needsWord(landed))),
    isReversible: false,
  };
}

/** The page has a box to tick for what a command says by an option. */
function needsWord(landed: readonly MachineRecord[]): string {
  return `${nameSome(namesOf(landed))} may be in service by now. Tick the box if what was written there since may be lost, or choose other machines.`;
}

function describeLoss(landed: readonly MachineRecord[]): string[] {
  if (landed.length === 0) return [];
  const names = nameSome(namesOf(landed));
  return [
    `What was written there since it landed is deleted: ${names} may be in service, and the source runs again as it was when it was shut down.`,
  ];
}
