/** Runs of machines that their source can turn off, on a real Redis, as operators' actions meet them. */
import type { MachineRecord } from '../../src/domain/machine-record.ts';
import { newMachineRecord } from '../../src/domain/machine-record.ts';
import type { RunRecord } from '../../src/domain/run-record.ts';
import type { Wave } from '../../src/domain/wave.ts';
import { findRun } from '../../src/operations/find-run.ts';
import { type Selection, selectMachines } from '../../src/operations/select-machines.ts';
import { type Conductor, createConductor } from '../../src/queue/conductor.ts';
import { openQueues, type Queues } from '../../src/queue/queues.ts';
import { openState, type State } from '../../src/state/state.ts';
import { makeMachine, makeRun, makeWave } from '../fakes/records.ts';
import { startTestRedis } from '../fakes/redis.ts';

export type ActionWish = {
  wave?: Partial<Wave>;
  run?: Partial<RunRecord>;
  record?: (record: MachineRecord) => MachineRecord;
};

export type ActionGround = AsyncDisposable & {
  state: State;
  queues: Queues;
  conductor: Conductor;
  deps: { state: State; conductor: Conductor; by: string };
  /** Run r1, of machines with two disks each. */
  begin(machines: string[], over?: ActionWish): Promise<RunRecord>;
  select(selection?: Selection): Promise<MachineRecord[]>;
  one(machine: string): Promise<MachineRecord[]>;
  read(machine: string): Promise<MachineRecord>;
  /** What operators did, each with its reason. */
  trail(): Promise<string[]>;
};

export const landed = (record: MachineRecord): MachineRecord => ({
  ...record,
  status: 'landed',
  startedAt: 1,
  endedAt: 2,
  landing: { kind: 'aws-instance', id: 'i-1', ref: {} },
});

export async function openActionGround(): Promise<ActionGround> {
  await using stack = new AsyncDisposableStack();
  const server = stack.use(await startTestRedis());
  const state = stack.use(openState(server.url));
  const queues = stack.use(openQueues(server.url));
  const conductor = createConductor({ state, queues });
  const owned = stack.move();

  const select: ActionGround['select'] = async (selection = { kind: 'all' }) =>
    selectMachines(state, await findRun(state, 'r1'), selection);
  return {
    state,
    queues,
    conductor,
    deps: { state, conductor, by: 'ann@host' },
    async begin(machines, over = {}) {
      const wave = { ...makeWave('w', machines), ...over.wave };
      const run = { ...makeRun('r1', wave), ...over.run };
      const records = wave.machines.map((plan, position) =>
        newMachineRecord({
          run: run.id,
          position,
          site: null,
          plan,
          machine: makeMachine(plan.name, 2),
          isControlled: true,
        }),
      );
      await state.redis.flushall();
      await state.runs.create(run, records.map(over.record ?? ((record) => record)));
      await conductor.advanceRun(run.id);
      return (await state.runs.get(run.id)) ?? run;
    },
    select,
    one: (machine) => select({ kind: 'machine', machine }),
    async read(machine) {
      const record = await state.machines.get('r1', machine);
      if (record === null) throw new Error('no record');
      return record;
    },
    async trail() {
      const events = await Array.fromAsync(state.events.readAll('r1', '0'));
      return events.flatMap((event) => {
        if (event.type !== 'operator') return [];
        return [
          `${event.machine ?? 'run'} ${event.action}${event.reason === null ? '' : ` (${event.reason})`}`,
        ];
      });
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
