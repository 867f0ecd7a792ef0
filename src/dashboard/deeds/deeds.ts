/** All that operators do from a page: previewed with its consequences, and done in their name. */
import { LandfallError } from '../../domain/errors.ts';
import type { MachineRecord } from '../../domain/machine-record.ts';
import type { RunRecord } from '../../domain/run-record.ts';
import { findMachines } from '../../operations/find-run.ts';
import { selectMachines } from '../../operations/select-machines.ts';
import type { State } from '../../state/state.ts';
import type { User } from '../access/user.ts';
import type { Action, ActionName, Deed as MeantAction, Outcome, Preview, Selection } from '../api/action.ts';
import type { Desk } from '../desk.ts';
import { cleanup } from './clean-up.ts';
import { commit } from './commit.ts';
import type { Deed, DeedInput } from './deed.ts';
import { hold, release } from './hold-and-release.ts';
import { cancel, retry } from './retry-and-cancel.ts';
import { rollback } from './roll-back.ts';
import { approve, cutover } from './whole-run.ts';

const DEEDS: Readonly<Record<ActionName, Deed>> = {
  approve,
  hold,
  release,
  cutover,
  retry,
  cancel,
  rollback,
  commit,
  cleanup,
};

/** Of a run as a whole, whatever machines it has. */
const OF_RUNS_ONLY: ReadonlySet<ActionName> = new Set(['approve', 'cutover', 'cleanup']);

type Asked = { idOrWave: string; user: User; signal: AbortSignal };

/** Throws `not-found` for a run or a machine that there is not, and `usage` where the action is not of machines. */
export async function previewDeed(desk: Desk, of: Asked & { action: Action }): Promise<Preview> {
  return DEEDS[of.action.action].preview(await readInput(desk, of));
}

/** Throws what the operation throws, too. */
export async function performDeed(desk: Desk, of: Asked & { deed: MeantAction }): Promise<Outcome> {
  const { reason, ...action } = of.deed;
  return DEEDS[action.action].perform({ ...(await readInput(desk, { ...of, action })), reason });
}

async function readInput(desk: Desk, of: Asked & { action: Action }): Promise<DeedInput> {
  const { app, state } = desk;
  const { action, user, signal } = of;
  const run = await desk.findRun(of.idOrWave);
  refuseMachines(action);
  const [all, now] = [await findMachines(state, run, undefined), await state.clock.now()];
  return {
    run,
    isWhole: action.on.kind === 'run',
    machines: await select(state, { run, all, on: action.on }),
    all,
    action,
    app,
    deps: { state, conductor: app.conductor, by: user.name },
    now,
    signal,
  };
}

async function select(
  state: State,
  { run, all, on }: { run: RunRecord; all: readonly MachineRecord[]; on: Selection },
): Promise<readonly MachineRecord[]> {
  switch (on.kind) {
    case 'run':
    case 'all':
      return all;
    case 'failing':
      return selectMachines(state, run, { kind: 'failing' });
    case 'machines': {
      const wanted = new Set(on.names);
      const found = all.filter(({ machine }) => wanted.delete(machine.name));
      const [unknown] = wanted;
      // It says which machines there are.
      if (unknown !== undefined) await findMachines(state, run, unknown);
      return found;
    }
    default:
      return on satisfies never;
  }
}

function refuseMachines({ action, on }: Action): void {
  if (on.kind === 'run' || !OF_RUNS_ONLY.has(action)) return;
  throw new LandfallError({
    code: 'usage',
    message: `${action} is of a run as a whole, not of machines: leave the selection out.`,
  });
}
