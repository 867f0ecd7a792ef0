/** What would happen: reads the machines of a wave from their source and asks source, target and this host whether all is well. */
import { asLandfallError, LandfallError } from '../domain/errors.ts';
import type { Machine } from '../domain/machine.ts';
import { findCycle, findUnknownNames } from '../domain/machine-order.ts';
import { describeMoment } from '../domain/moment.ts';
import { nameSchema } from '../domain/name.ts';
import { nextWindow } from '../domain/next-window.ts';
import type { Finding, PlannedMachine, Source, Target } from '../domain/ports.ts';
import type { Wave, WaveMachine } from '../domain/wave.ts';
import { checkMachines } from '../stages/preflight.ts';

export type Plan = {
  wave: Wave;
  machines: readonly PlannedMachine[];
  findings: readonly Finding[];
  /** Can the source turn its machines off and on? */
  isControlled: boolean;
};

export type PlanDeps = {
  source: Source;
  target: Target;
  stagingFolder: string;
  /** Puts the environment's values where a plan says `${env:NAME}`; the plan itself keeps the references. */
  resolve: (plan: WaveMachine) => WaveMachine;
};

/** Finds every problem it can instead of stopping at the first. */
export async function planWave(wave: Wave, deps: PlanDeps, signal: AbortSignal): Promise<Plan> {
  const { machines, findings } = await selectMachines(wave, deps, signal);
  findings.push(...checkOrder(wave, machines), ...checkWindow(wave, Date.now()));
  const { source, target, stagingFolder } = deps;
  const planned = machines.map(({ wave: plan, machine }) => ({ wave: deps.resolve(plan), machine }));
  findings.push(
    ...(await checkMachines({
      planned: machines,
      target,
      stagingFolder,
      machinesAtOnce: wave.limits.machines,
    })),
  );
  findings.push(...((await source.preflight?.(planned, signal)) ?? []));
  findings.push(...(await target.preflight(planned, signal)));
  const expanded = { ...wave, machines: machines.map(({ wave: plan }) => plan) };
  return { wave: expanded, machines, findings, isControlled: source.control !== undefined };
}

/** Throws `preflight-refused` with every failed finding. */
export function refuseFailedPlan(plan: Plan): void {
  const failed = plan.findings.filter((finding) => finding.level === 'fail');
  if (failed.length === 0) return;
  const lines = failed.map(
    ({ subject, message, remedy }) => `  ${subject}: ${message}${remedy === null ? '' : `. ${remedy}`}`,
  );
  throw new LandfallError({
    code: 'preflight-refused',
    message: `Wave ${plan.wave.name} was not started, ${failed.length === 1 ? 'one check' : `${failed.length} checks`} failed:\n${lines.join('\n')}`,
    context: { findings: failed.length },
  });
}

/** Each entry's machine, and in place of an entry that selects several all of them that no other entry names. */
async function selectMachines(
  wave: Wave,
  { source, resolve }: PlanDeps,
  signal: AbortSignal,
): Promise<{ machines: PlannedMachine[]; findings: Finding[] }> {
  const found = new Map<WaveMachine, Machine[]>();
  const findings: Finding[] = [];
  for (const entry of wave.machines) {
    try {
      const { from } = resolve(entry);
      const all = entry.selectsMany === true ? await source.machines(from, signal) : [];
      found.set(
        entry,
        entry.selectsMany === true ? all : [await selectMachine(resolve(entry), source, signal)],
      );
      if (entry.selectsMany === true && all.length === 0) findings.push(selectsNone(entry));
    } catch (error) {
      signal.throwIfAborted();
      findings.push(unreadable(entry, asLandfallError(error)));
    }
  }
  const named = wave.machines.filter(({ selectsMany }) => selectsMany !== true);
  const taken = new Set(named.flatMap((entry) => (found.get(entry) ?? []).map(({ identity }) => identity)));
  const names = new Set(named.map(({ name }) => name.toLowerCase()));
  const machines = wave.machines.flatMap((entry): PlannedMachine[] => {
    const { selectsMany, ...plan } = entry;
    const all = found.get(entry) ?? [];
    if (selectsMany !== true) return all.map((machine) => ({ wave: plan, machine }));
    const more = all.filter(({ identity }) => !taken.has(identity));
    return more.flatMap((machine) => {
      taken.add(machine.identity);
      const wrong = judgeName(machine.name, names);
      names.add(machine.name.toLowerCase());
      if (wrong === null) return [{ wave: { ...plan, name: machine.name }, machine }];
      findings.push(wrong);
      return [];
    });
  });
  return { machines, findings };
}

/** Of a machine that comes by the name it has at its source. */
function judgeName(name: string, names: ReadonlySet<string>): Finding | null {
  const isFit = nameSchema.safeParse(name).success;
  if (isFit && !names.has(name.toLowerCase())) return null;
  const message = isFit
    ? 'has the name of another machine of this wave'
    : 'has a name that no machine of a wave can have (1 to 63 letters, digits, - or _)';
  return { level: 'fail', subject: name, message, remedy: 'Give it an entry of its own, with a `name`.' };
}

function selectsNone(entry: WaveMachine): Finding {
  return {
    level: 'fail',
    subject: entry.name,
    message: `${JSON.stringify(entry.from)} selects no machine`,
    remedy: 'Correct its `from`, or take the entry out.',
  };
}

/** What could not be known from the file alone: what comes after machines that a selection brought. */
function checkOrder({ groups }: Wave, machines: readonly PlannedMachine[]): Finding[] {
  const ordered = machines.map(({ wave }) => wave);
  const unknown = findUnknownNames(ordered, Object.keys(groups)).map(
    ({ by, name }): Finding => ({
      level: 'fail',
      subject: by,
      message: `comes after ${name}, which this wave does not have`,
      remedy: 'Name a machine or a group of this wave.',
    }),
  );
  const cycle = findCycle(ordered);
  if (cycle === null) return unknown;
  const message = `each waits for the next: ${cycle.join(' → ')}`;
  return [
    ...unknown,
    { level: 'fail', subject: 'order', message, remedy: 'Take one of them out of an `after`.' },
  ];
}

function checkWindow({ window }: Wave, now: number): Finding[] {
  if (window === null) return [];
  const next = nextWindow(window, now);
  if (next !== null) {
    const message = `opens ${describeMoment(next.opensAt, window.timezone)}, closes ${describeMoment(next.closesAt, window.timezone)}`;
    return [{ level: 'ok', subject: 'window', message, remedy: null }];
  }
  const when =
    window.kind === 'once'
      ? `closed at ${window.closes} (${window.timezone})`
      : 'never opens: `except` leaves no day';
  return [
    {
      level: 'fail',
      subject: 'window',
      message: when,
      remedy: 'Give the wave a window that is still to come.',
    },
  ];
}

async function selectMachine(planned: WaveMachine, source: Source, signal: AbortSignal): Promise<Machine> {
  const found = await source.machines(planned.from, signal);
  const [machine, ...others] = found;
  if (machine === undefined || others.length > 0) {
    throw new LandfallError({
      code: 'wave-invalid',
      message: `${planned.name} must select one machine, but its source holds ${found.length === 0 ? 'none' : found.map((each) => each.name).join(', ')}. Name one with \`from: { name: … }\`.`,
    });
  }
  return { ...machine, name: planned.name };
}

function unreadable(planned: WaveMachine, error: LandfallError): Finding {
  return { level: 'fail', subject: planned.name, message: error.message, remedy: null };
}
