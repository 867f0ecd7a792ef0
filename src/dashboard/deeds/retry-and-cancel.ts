/** Retry and cancel: of machines. */
import { cancelMachine, retryMachine } from '../../domain/machine-changes.ts';
import { isControlled, type MachineRecord, mayServe } from '../../domain/machine-record.ts';
import { isFailing } from '../../operations/select-machines.ts';
import { cancelMachines, refuseRetry, retryMachines } from '../../operations/steer.ts';
import type { Preview } from '../api/action.ts';
import { type Deed, type DeedInput, machines, machinesAre, nameSome, namesOf } from './deed.ts';
import { refusalOf } from './refusal.ts';

export const retry: Deed = {
  preview: previewRetry,
  async perform(of) {
    const { run, deps, reason } = of;
    const changed = await retryMachines({ run, machines: retried(of), reason }, deps);
    if (changed.length === 0) return { message: 'There was nothing to try again.', changed };
    return { message: `${machinesAre(changed.length)} tried again.`, changed };
  },
};

export const cancel: Deed = {
  preview: previewCancel,
  async perform({ run, machines: meant, deps, reason }) {
    const changed = await cancelMachines({ run, machines: meant, reason }, deps);
    if (changed.length === 0) return { message: 'Nothing was on the move.', changed };
    return { message: `${machinesAre(changed.length)} cancelled.`, changed };
  },
};

/** What an operator stopped on purpose is meant by its name only. */
function retried({ machines: meant, action }: DeedInput): MachineRecord[] {
  const isNamed = action.on.kind === 'machines';
  return meant.filter((record) => retryMachine(record) !== null && (isNamed || isFailing(record)));
}

function previewRetry(of: DeedInput): Preview {
  const { run, now } = of;
  const again = retried(of);
  const afresh = again.filter(({ status }) => status === 'discarded' || status === 'rolled-back');
  const shutDown = afresh.filter(isControlled);
  const back = again.filter(({ steps }) => steps.rollback?.state === 'failed');
  const onward = again.length - afresh.length - back.length;
  return {
    consequences: [
      ...(onward === 0
        ? []
        : [`${machinesAre(onward)} tried again from the step that failed; what is done stays done.`]),
      ...(afresh.length === 0
        ? []
        : [`${nameSome(namesOf(afresh))} ${afresh.length === 1 ? 'begins' : 'begin'} from the start.`]),
      ...(shutDown.length === 0
        ? []
        : [
            `${machinesAre(shutDown.length)} shut down at ${shutDown.length === 1 ? 'its' : 'their'} source again.`,
          ]),
      ...(back.length === 0 ? [] : [`${machinesAre(back.length)} rolled back: that is what is tried again.`]),
      ...(run.hold === null ? [] : ['Nothing moves before the run is released, too.']),
    ],
    machines: namesOf(again),
    refusal:
      again.length === 0
        ? 'There is nothing to try again: none of these failed, or was stopped.'
        : refusalOf(() => refuseRetry({ run, machines: again }, now)),
    isReversible: true,
  };
}

function previewCancel({ machines: meant, now }: DeedInput): Preview {
  const ended = meant.filter((record) => cancelMachine(record, now) !== null);
  const moving = ended.filter(({ startedAt }) => startedAt !== null).length;
  const off = ended.filter(isOff);
  const made = ended.filter(
    ({ artifacts, landing }) => landing !== null || Object.keys(artifacts).length > 0,
  );
  const back = meant.filter(({ status }) => status === 'rolling-back');
  return {
    consequences: [
      ...(off.length === 0
        ? []
        : [
            `${nameSome(namesOf(off))} ${off.length === 1 ? 'is' : 'are'} shut down, or about to be: nothing runs in ${off.length === 1 ? 'its' : 'their'} place until a rollback turns ${off.length === 1 ? 'it' : 'them'} on again, or a retry goes on.`,
          ]),
      `${machines(ended.length)} ${ended.length === 1 ? 'stops where it is and does' : 'stop where they are and do'} not land: ${nameSome(namesOf(ended))}.`,
      ...(moving === 0
        ? []
        : [`${machinesAre(moving)} on the move, and ${moving === 1 ? 'is' : 'are'} stopped.`]),
      ...(made.length === 0 ? [] : ['What was uploaded stays at the target until it is cleaned up.']),
      ...(back.length === 0
        ? []
        : [
            `${nameSome(namesOf(back))} ${back.length === 1 ? 'goes' : 'go'} back to the source, which goes on.`,
          ]),
      'A retry goes on from there.',
    ],
    machines: namesOf(ended),
    refusal: ended.length > 0 ? null : 'None of these is on the move, waits or is held.',
    isReversible: true,
  };
}

/** Its source was turned off, or is being, and its landing is not in service. */
function isOff(record: MachineRecord): boolean {
  const { shutdown } = record.steps;
  if (shutdown === undefined || (record.landing !== null && mayServe(record))) return false;
  return shutdown.state !== 'pending' || shutdown.startedAt !== null || shutdown.try > 1;
}
