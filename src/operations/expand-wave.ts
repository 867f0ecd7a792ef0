/** The machines of a wave, as its source knows them: what could not be known from the file alone. */
import { asLandfallError, LandfallError } from '../domain/errors.ts';
import type { Machine } from '../domain/machine.ts';
import { findCycle, findUnknownNames } from '../domain/machine-order.ts';
import { nameSchema } from '../domain/name.ts';
import { matchesName } from '../domain/name-pattern.ts';
import type { Finding, PlannedMachine, Source } from '../domain/ports.ts';
import type { Wave, WaveMachine } from '../domain/wave.ts';

type ExpandDeps = { source: Source; resolve: (plan: WaveMachine) => WaveMachine };

/** Each entry's machine, and in place of an entry that selects several all of them that no other entry names. */
export async function selectMachines(
  wave: Wave,
  { source, resolve }: ExpandDeps,
  signal: AbortSignal,
): Promise<{ machines: PlannedMachine[]; findings: Finding[] }> {
  const found = new Map<WaveMachine, Machine[]>();
  const findings: Finding[] = [];
  for (const entry of wave.machines) {
    try {
      const { from } = resolve(entry);
      const selected = entry.selectsMany === true ? await source.machines(from, signal) : [];
      const { left: all, idle } = leaveOut(selected, entry.except ?? []);
      findings.push(...idle.map((pattern) => leavesNoneOut(entry, pattern)));
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
  const names = new Set(
    [...named.map(({ name }) => name), ...Object.keys(wave.groups)].map((name) => name.toLowerCase()),
  );
  const machines = wave.machines.flatMap((entry): PlannedMachine[] => {
    const { selectsMany, except: _, ...plan } = entry;
    const all = found.get(entry) ?? [];
    if (selectsMany !== true) return all.map((machine) => ({ wave: plan, machine }));
    const more = all.filter(({ identity }) => !taken.has(identity));
    return more.flatMap((machine) => {
      taken.add(machine.identity);
      const wrong = judgeName(machine.name, names);
      names.add(machine.name.toLowerCase());
      if (wrong === null) return [{ wave: narrowed(plan, machine), machine }];
      findings.push(wrong);
      return [];
    });
  });
  const empty = machines.filter(({ machine }) => machine.disks.length === 0);
  findings.push(...empty.map(({ machine }) => hasNoDisk(machine)));
  return { machines: machines.filter((planned) => !empty.includes(planned)), findings };
}

function hasNoDisk({ name }: Machine): Finding {
  return {
    level: 'fail',
    subject: name,
    message: 'has no disk: there is nothing to migrate',
    remedy: 'Leave it out of the wave; out of a selection by `except`.',
  };
}

/** `idle`: patterns that fit none, so maybe were meant otherwise. */
function leaveOut(
  machines: readonly Machine[],
  except: readonly string[],
): { left: Machine[]; idle: string[] } {
  const fits = (pattern: string) => (machine: Machine) => matchesName(machine.name, pattern);
  return {
    left: machines.filter((machine) => !except.some((pattern) => fits(pattern)(machine))),
    idle: except.filter((pattern) => !machines.some(fits(pattern))),
  };
}

function leavesNoneOut({ name }: WaveMachine, pattern: string): Finding {
  return {
    level: 'warn',
    subject: name,
    message: `\`except\` has ${JSON.stringify(pattern)}, which fits no machine that \`from\` selects`,
    remedy: 'Correct it, or take it out.',
  };
}

/** By its name it selects this one machine, whatever comes there later. */
function narrowed(plan: Omit<WaveMachine, 'selectsMany' | 'except'>, { name }: Machine): WaveMachine {
  return { ...plan, name, from: { ...plan.from, name } };
}

/** Of a machine that comes by the name it has at its source. */
function judgeName(name: string, names: ReadonlySet<string>): Finding | null {
  const isFit = nameSchema.safeParse(name).success;
  if (isFit && !names.has(name.toLowerCase())) return null;
  const message = isFit
    ? 'has the name of another machine, or of a group, of this wave'
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
export function checkOrder({ groups }: Wave, machines: readonly PlannedMachine[]): Finding[] {
  const ordered = machines.map(({ wave }) => wave);
  const unknown = findUnknownNames(ordered).map(
    ({ by, name }): Finding => ({
      level: 'fail',
      subject: by,
      message: Object.hasOwn(groups, name)
        ? `comes after group ${name}, which has no machine`
        : `comes after ${name}, which this wave does not have`,
      remedy: 'Name a machine of this wave, or a group that has some.',
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
