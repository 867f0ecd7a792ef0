/** The worker processes of one measurement of the bench `control`. */
import { join } from 'node:path';
import { startTool } from '../../../src/processes/child.ts';
import { SMALL_HEAP_FLAGS } from '../../../src/processes/small-heap.ts';
import type { ControlJob, ControlMessage } from './control-job.ts';

export type ControlCrew = AsyncDisposable & {
  /** Of all processes together, as they told last. */
  counts(): { steps: number; chains: number; lastFirstStepAt: number };
  /** Ends the processes, after which the counts are final. */
  finish(): Promise<void>;
};

/** On two cores, beside Redis. */
export const CREW_PROCESSES = 2;

const WORKER = join(import.meta.dirname, 'control-worker.ts');

export async function startControlCrew(
  of: Omit<ControlJob, 'schedules'>,
  signal: AbortSignal,
): Promise<ControlCrew> {
  await using stack = new AsyncDisposableStack();
  const members = await Promise.all(
    Array.from({ length: CREW_PROCESSES }, (_none, index) =>
      startMember({ ...of, schedules: index === 0 }, signal),
    ),
  );
  for (const member of members) stack.use(member);
  await Promise.all(members.map((member) => member.ready));
  const owned = stack.move();
  return {
    counts() {
      const counts = members.map((member) => member.count());
      return {
        steps: sum(counts.map(({ steps }) => steps)),
        chains: sum(counts.map(({ chains }) => chains)),
        lastFirstStepAt: Math.max(...counts.map(({ lastFirstStepAt }) => lastFirstStepAt)),
      };
    },
    finish: async () => void (await Promise.all(members.map((member) => member.finish()))),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

async function startMember(job: ControlJob, signal: AbortSignal) {
  const ready = Promise.withResolvers<void>();
  let count = { steps: 0, chains: 0, lastFirstStepAt: 0 };
  const worker = await startTool({
    command: process.execPath,
    args: [...SMALL_HEAP_FLAGS, WORKER, JSON.stringify(job)],
    signal,
    onLine(line) {
      const message = JSON.parse(line) as ControlMessage;
      if (message.kind === 'ready') ready.resolve();
      if (message.kind === 'count') count = message;
    },
  });
  void worker.exited.then(({ stderr }) => ready.reject(new Error(`A worker of the bench ended: ${stderr}`)));
  ready.promise.catch(() => {});
  return {
    ready: ready.promise,
    count: () => count,
    async finish(): Promise<void> {
      const { exitCode, stderr } = await worker.stop();
      if (exitCode !== 0) throw new Error(`A worker of the bench ended with status ${exitCode}: ${stderr}`);
    },
    [Symbol.asyncDispose]: () => worker[Symbol.asyncDispose](),
  };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
