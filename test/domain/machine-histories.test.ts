/** The decisions about one machine, under any history: late and second deliveries, lost jobs, operators at any moment. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { advanceMachine } from '../../src/domain/advance-machine.ts';
import type { WaveView } from '../../src/domain/advance-wave.ts';
import { LandfallError } from '../../src/domain/errors.ts';
import { type Job, jobId, stepKey } from '../../src/domain/job.ts';
import {
  beginStep,
  cancelMachine,
  commitMachine,
  failStep,
  finishStep,
  holdMachine,
  markDiscarded,
  releaseMachine,
  replaceLostJob,
  retryMachine,
  rollBackMachine,
  startMachine,
} from '../../src/domain/machine-changes.ts';
import { isAtRest, isUnderWay, type MachineRecord } from '../../src/domain/machine-record.ts';
import { FAILURE_POLICIES, type FailurePolicy, OVERRUN_POLICIES } from '../../src/domain/wave.ts';
import { LANDING, NOW, OPEN, outputOf, waitingMachine } from './machine-story.ts';

/** What can befall a machine. `pick` chooses among all jobs that were ever offered: late and second deliveries too. */
type Happening =
  | { kind: 'begin' | 'finish' | 'fail' | 'fail for good' | 'lose'; pick: number }
  | { kind: 'start' | 'cancel' | 'retry' | 'discard' | 'hold' | 'release' | 'roll back' | 'commit' }
  | { kind: 'time passes'; ms: number }
  | { kind: 'the run changes'; view: WaveView };

const happening: fc.Arbitrary<Happening> = fc.oneof(
  { weight: 12, arbitrary: delivery('finish') },
  { weight: 3, arbitrary: delivery('begin') },
  { weight: 3, arbitrary: delivery('fail') },
  { weight: 1, arbitrary: delivery('fail for good') },
  { weight: 2, arbitrary: delivery('lose') },
  { weight: 3, arbitrary: plain('start') },
  { weight: 2, arbitrary: plain('retry') },
  { weight: 1, arbitrary: plain('cancel') },
  { weight: 1, arbitrary: plain('discard') },
  { weight: 1, arbitrary: plain('hold') },
  { weight: 2, arbitrary: plain('release') },
  { weight: 1, arbitrary: plain('roll back') },
  { weight: 1, arbitrary: plain('commit') },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('time passes' as const),
      ms: fc.integer({ min: 0, max: 200_000 }),
    }),
  },
);

/** Its window closes and opens again, it is held and released. */
const change: fc.Arbitrary<Happening> = fc.record({
  kind: fc.constant('the run changes' as const),
  view: fc.record({
    isLive: fc.constant(true),
    isOpen: fc.boolean(),
    mayStart: fc.boolean(),
    overrun: fc.constantFrom(null, ...OVERRUN_POLICIES),
    isOver: fc.boolean(),
    tries: fc.constant(OPEN.tries),
  }),
});

function delivery(kind: 'begin' | 'finish' | 'fail' | 'fail for good' | 'lose'): fc.Arbitrary<Happening> {
  return fc.record({ kind: fc.constant(kind), pick: fc.nat(1000) });
}

function plain(
  kind: Exclude<
    Happening['kind'],
    'begin' | 'finish' | 'fail' | 'fail for good' | 'lose' | 'time passes' | 'the run changes'
  >,
) {
  return fc.constant<Happening>({ kind });
}

/** The record after the happening, or null where it changes nothing. */
function happen(record: MachineRecord, event: Happening, { now, job }: { now: number; job: Job | null }) {
  const passing = new LandfallError({ code: 'target-unavailable', message: 'busy', retryable: true });
  const lasting = new LandfallError({ code: 'target-denied', message: 'no' });
  const { tries } = OPEN;
  switch (event.kind) {
    case 'start':
      return startMachine(record, now);
    case 'cancel':
      return cancelMachine(record, now);
    case 'retry':
      return retryMachine(record);
    case 'discard':
      return markDiscarded(record, now);
    case 'hold':
      return holdMachine(record);
    case 'release':
      return releaseMachine(record);
    case 'roll back':
      return rollBackMachine(record, null);
    case 'commit':
      return commitMachine(record, now);
    case 'begin':
      return job && beginStep(record, job, now);
    case 'finish':
      return job && finishStep(record, { job, output: outputOf(job), now });
    case 'fail':
      return job && failStep(record, { job, error: passing, now, tries });
    case 'fail for good':
      return job && failStep(record, { job, error: lasting, now, tries });
    case 'lose':
      return job && replaceLostJob(record, { job, now, tries });
    case 'time passes':
    case 'the run changes':
      return null;
    default:
      return event satisfies never;
  }
}

/** Plays a history and hands every turn to `look`. */
function play(
  history: readonly Happening[],
  look: (turn: {
    event: Happening;
    before: MachineRecord;
    after: MachineRecord;
    jobs: Job[];
    wakeAt: number | null;
    now: number;
  }) => void,
): { record: MachineRecord; now: number } {
  let record = withPolicy(waitingMachine(), history.length);
  let now = NOW;
  let view: WaveView = OPEN;
  const everOffered: Job[] = [];
  for (const event of history) {
    if (event.kind === 'time passes') now += event.ms;
    if (event.kind === 'the run changes') view = event.view;
    const job = 'pick' in event ? (everOffered[event.pick % Math.max(1, everOffered.length)] ?? null) : null;
    const before = record;
    const {
      record: after,
      jobs,
      wakeAt,
    } = advanceMachine(happen(record, event, { now, job }) ?? record, view, now);
    everOffered.push(...jobs.filter((offer) => !everOffered.some((other) => jobId(other) === jobId(offer))));
    look({ event, before, after, jobs, wakeAt, now });
    record = after;
  }
  return { record, now };
}

/** Each of the policies on failure has its share of the histories. */
function withPolicy(record: MachineRecord, number: number): MachineRecord {
  const onFailure: FailurePolicy = FAILURE_POLICIES[number % FAILURE_POLICIES.length] ?? 'leave';
  return { ...record, plan: { ...record.plan, onFailure } };
}

const history = fc.array(happening, { maxLength: 80 });

describe('whatever happens', () => {
  it('one id never means two jobs, and a job that was settled is never offered again', () => {
    fc.assert(
      fc.property(history, (events) => {
        const settled = new Set<string>();
        play(events, ({ before, after, jobs }) => {
          for (const job of jobs) expect(settled.has(jobId(job))).toBe(false);
          for (const [key, step] of Object.entries(before.steps)) {
            const next = after.steps[key];
            const isSettled =
              next !== undefined &&
              (next.try !== step.try || next.state === 'done' || next.state === 'failed');
            if (isSettled && step.state === 'active') {
              settled.add(jobId({ run: before.run, machine: before.machine.name, ...ref(step) }));
            }
          }
        });
      }),
    );
  });

  it('tries only grow', () => {
    fc.assert(
      fc.property(history, (events) => {
        play(events, ({ before, after }) => {
          expect(Object.keys(after.steps)).toEqual(Object.keys(before.steps));
          for (const [key, step] of Object.entries(before.steps)) {
            expect(after.steps[key]?.try).toBeGreaterThanOrEqual(step.try);
          }
        });
      }),
    );
  });

  it('a machine at rest has no jobs; one that landed stays so until it goes back or is discarded, a committed one never goes back', () => {
    fc.assert(
      fc.property(history, (events) => {
        play(events, ({ before, after, jobs }) => {
          if (!isUnderWay(after.status)) expect(jobs).toEqual([]);
          if (before.status === 'landed')
            expect(['landed', 'discarded', 'rolling-back']).toContain(after.status);
          if (before.committedAt !== null) expect(after.status).not.toBe('rolling-back');
        });
      }),
    );
  });

  it('a machine on the move has a job or an appointment: it never stands still', () => {
    fc.assert(
      fc.property(history, (events) => {
        play(events, ({ after, jobs, wakeAt, now }) => {
          if (!isUnderWay(after.status)) return;
          expect(jobs.length > 0 || wakeAt !== null).toBe(true);
          if (wakeAt !== null) expect(wakeAt).toBeGreaterThan(now);
        });
      }),
    );
  });

  it('only the step that a job is current for is offered, and stages never overlap', () => {
    fc.assert(
      fc.property(history, (events) => {
        play(events, ({ after, jobs }) => {
          expect(new Set(jobs.map((job) => job.stage)).size).toBeLessThanOrEqual(1);
          for (const job of jobs) {
            expect(after.steps[stepKey(job)]).toMatchObject({ state: 'active', try: job.try });
          }
        });
      }),
    );
  });

  it('looking twice changes nothing', () => {
    fc.assert(
      fc.property(history, (events) => {
        play(events, ({ after, jobs, wakeAt, now }) => {
          expect(advanceMachine(after, OPEN, now)).toEqual({ record: after, jobs, wakeAt });
        });
      }),
    );
  });

  it('a machine that landed has all that the stages make; a failed one tells why', () => {
    fc.assert(
      fc.property(history, (events) => {
        play(events, ({ after }) => {
          if (after.status === 'landed') {
            expect(after).toMatchObject({ landing: LANDING, proof: 'proof.json', error: null });
            expect(Object.keys(after.artifacts)).toEqual(['0', '1']);
          }
          if (after.status === 'failed') expect(after.error).not.toBeNull();
          if (!isAtRest(after.status) && after.status !== 'rolling-back') expect(after.error).toBeNull();
          if (after.status !== 'held') expect(after.endedAt !== null).toBe(isAtRest(after.status));
        });
      }),
    );
  });

  it('only a rollback is offered to a machine that goes back, and nothing is left of one that went', () => {
    fc.assert(
      fc.property(history, (events) => {
        play(events, ({ after, jobs }) => {
          if (after.status === 'rolling-back')
            expect(jobs.every(({ stage }) => stage === 'rollback')).toBe(true);
          else expect(jobs.every(({ stage }) => stage !== 'rollback')).toBe(true);
          if (after.status === 'rolled-back') expect(after).toMatchObject({ landing: null, artifacts: {} });
        });
      }),
    );
  });

  it('one that is proven goes back only where it failed since, or an operator says so, whatever becomes of its run', () => {
    const withChanges = fc.array(
      fc.oneof({ weight: 8, arbitrary: happening }, { weight: 1, arbitrary: change }),
      {
        maxLength: 80,
      },
    );
    fc.assert(
      fc.property(withChanges, (events) => {
        play(events, ({ event, before, after }) => {
          const goesBack = before.status !== 'rolling-back' && after.status === 'rolling-back';
          if (!goesBack || after.steps.validate?.state !== 'done') return;
          const hasFailed = Object.values(after.steps).some(({ state }) => state === 'failed');
          expect(hasFailed || event.kind === 'roll back' || event.kind === 'retry').toBe(true);
        });
      }),
      { numRuns: 1_000 },
    );
  });

  it('comes to rest once its jobs end, from wherever it stands', () => {
    fc.assert(
      fc.property(
        history,
        fc.infiniteStream(
          fc.constantFrom('finish', 'fail', 'lose') as fc.Arbitrary<'finish' | 'fail' | 'lose'>,
        ),
        (events, ends) => {
          let { record, now } = play(events, () => {});
          record = startMachine(record, now) ?? record;
          for (let turns = 0; turns < 200; turns += 1) {
            const advance = advanceMachine(record, OPEN, now);
            record = advance.record;
            if (isAtRest(record.status)) return;
            now = advance.jobs.length === 0 ? (advance.wakeAt ?? now) : now + 1;
            for (const job of advance.jobs) {
              const kind = ends.next().value ?? 'finish';
              record = happen(record, { kind, pick: 0 }, { now, job }) ?? record;
            }
          }
          expect.unreachable(`still ${record.status}`);
        },
      ),
    );
  });
});

function ref(step: MachineRecord['steps'][string]) {
  const { stage, disk, pass } = step;
  return { stage, disk, pass, try: step.try };
}
