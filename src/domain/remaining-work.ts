/** What is left to do for each machine of a run that may still land by itself: bytes to move, and the time around them. Pure. */
import { FLOW, type StepStage, stepKey } from './job.ts';
import type { MachineRecord, Step } from './machine-record.ts';
import type { StageTimes } from './measured-stages.ts';

export type MachineLeft = {
  name: string;
  group: string | null;
  /** It holds a slot already. */
  isMoving: boolean;
  /** Machines and groups that it comes after and that have not landed. */
  after: readonly string[];
  /** Before its bytes, and after them. */
  leadMs: number;
  bytes: number;
  tailMs: number;
  /** Its bytes are an estimate: how much of its disks holds data is not known yet. */
  isGuessed: boolean;
  /** Stages that are left, and that no machine of the run went through. */
  unmeasured: readonly StepStage[];
};

type Known = {
  machines: readonly MachineRecord[];
  progress: readonly { machine: string; step: string; doneBytes: number; totalBytes: number }[];
  now: number;
};

/** In the order of the wave. `because`: who is left out, as sentences. */
export function machinesLeft(known: Known, times: StageTimes): { left: MachineLeft[]; because: string[] } {
  const { machines } = known;
  const progress = new Map(known.progress.map((each) => [`${each.machine} ${each.step}`, each]));
  const share = shareOfData(machines, progress);
  const held = machines.filter(({ status }) => status === 'held');
  const going = machines.filter(
    ({ status }) => status === 'moving' || status === 'waiting' || status === 'blocked',
  );
  const landing = withoutStranded(going, machines);
  const left = landing.map((record) => leftOf(record, { progress, share, times, now: known.now }));
  const because: string[] = [];
  if (held.length > 0) because.push(`Not counted, since they are held: ${nameSome(held)}.`);
  const back = machines.filter(({ status }) => status === 'rolling-back' || status === 'rolled-back');
  if (back.length > 0) because.push(`Not counted, since they went back to their source: ${nameSome(back)}.`);
  const stranded = going.filter((record) => !landing.includes(record));
  if (stranded.length > 0)
    because.push(`Not counted, since what they come after will not land by itself: ${nameSome(stranded)}.`);
  return { left, because };
}

type Context = {
  progress: ReadonlyMap<string, { doneBytes: number; totalBytes: number }>;
  share: number | null;
  times: StageTimes;
  now: number;
};

function leftOf(record: MachineRecord, { progress, share, times, now }: Context): MachineLeft {
  const { machine, plan, status, after, steps, prepared } = record;
  const byStage = Map.groupBy(Object.values(steps), ({ stage }) => stage);
  const unmeasured: StepStage[] = [];
  const around = { leadMs: 0, tailMs: 0 };
  for (const stage of FLOW) {
    const open = (byStage.get(stage) ?? []).filter(({ state }) => state !== 'done');
    if (open.length === 0 || stage === 'upload') continue;
    const time = times.get(stage);
    if (time === undefined) unmeasured.push(stage);
    else around[isAfterBytes(stage) ? 'tailMs' : 'leadMs'] += timeLeft(open, { ...time, now });
  }
  let [bytes, isGuessed] = [0, false];
  for (const step of byStage.get('upload') ?? []) {
    const disk = machine.disks.find(({ id }) => id === step.disk);
    if (step.state === 'done' || disk === undefined) continue;
    const told = progress.get(`${machine.name} ${stepKey(step)}`);
    const isTold = told !== undefined && told.totalBytes > 0;
    const whole = isTold ? told.totalBytes : step.pass === 0 ? prepared[disk.id]?.dataBytes : undefined;
    isGuessed ||= whole === undefined;
    // What a later pass will find changed, nobody knows: no less than nothing.
    const guess = step.pass === 0 ? disk.bytes * (share ?? 1) : 0;
    bytes += Math.max(0, (whole ?? guess) - (told?.doneBytes ?? 0));
  }
  const isMoving = status === 'moving';
  return { name: machine.name, group: plan.group, isMoving, after, ...around, bytes, isGuessed, unmeasured };
}

function isAfterBytes(stage: StepStage): boolean {
  return stage === 'import' || stage === 'validate' || stage === 'admit';
}

/** One that takes longer than the median may take as long as the longest did. */
function timeLeft(open: readonly Step[], of: { medianMs: number; longestMs: number; now: number }): number {
  const { medianMs, longestMs, now } = of;
  const begun = open.flatMap(({ startedAt, state }) => (state === 'active' ? (startedAt ?? []) : []));
  const elapsed = begun.length === 0 ? 0 : Math.max(0, now - Math.min(...begun));
  return elapsed < medianMs ? medianMs - elapsed : Math.max(0, longestMs - elapsed);
}

/** Of the disks that were looked into, how much holds data; null: none was. */
function shareOfData(machines: readonly MachineRecord[], progress: Context['progress']): number | null {
  let [data, all] = [0, 0];
  for (const { machine, steps, prepared } of machines) {
    for (const { id, bytes } of machine.disks) {
      const step = steps[stepKey({ stage: 'upload', disk: id, pass: 0 })];
      const told = step === undefined ? undefined : progress.get(`${machine.name} ${stepKey(step)}`);
      const isTold = told !== undefined && (told.totalBytes > 0 || step?.state === 'done');
      const known = isTold ? told.totalBytes : prepared[id]?.dataBytes;
      if (known === undefined) continue;
      data += known;
      all += bytes;
    }
  }
  return all === 0 ? null : data / all;
}

/** Those that come after something that is not on its way wait in vain, and so do those that come after them. */
function withoutStranded(
  going: readonly MachineRecord[],
  all: readonly MachineRecord[],
): readonly MachineRecord[] {
  const machinesOf = Map.groupBy(all, ({ plan }) => plan.group);
  let kept = going;
  for (;;) {
    const names = new Set(kept.map(({ machine }) => machine.name));
    const comes = ({ machine, status }: MachineRecord): boolean =>
      status === 'landed' || names.has(machine.name);
    const groups = new Map([...machinesOf].map(([group, of]) => [group, of.every(comes)] as const));
    const next = kept.filter(({ after }) =>
      after.every((name) => names.has(name) || groups.get(name) === true),
    );
    if (next.length === kept.length) return kept;
    kept = next;
  }
}

const MOST_NAMED = 5;

function nameSome(machines: readonly MachineRecord[]): string {
  const names = machines.slice(0, MOST_NAMED).map(({ machine }) => machine.name);
  const more = machines.length - names.length;
  return `${names.join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}
