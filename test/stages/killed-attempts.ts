/**
 * Attempts that die. A step's durable traces are its writes to ledger and checkpoints, and what it does to the outside
 * world; between any two of them a worker may be killed, and the same job comes again over what was left.
 */
import type { StepOutput } from '../../src/domain/machine-record.ts';
import type { StepContext, StepOutcome } from '../../src/domain/ports.ts';

/** As `kill -9` looks from within a test: nothing after it happens, in that attempt. */
export class Killed extends Error {}

export type Fate = {
  /** Counts one point; throws there, and everywhere after it, once its turn has come. */
  pass(): void;
  /** Did it strike? */
  hasStruck(): boolean;
};

/** Strikes at point `at`, from 0. */
export function fateAt(at: number): Fate {
  let passed = 0;
  return {
    pass: () => {
      passed += 1;
      if (passed > at) throw new Killed(`killed at point ${at}`);
    },
    hasStruck: () => passed > at,
  };
}

export const NO_FATE: Fate = { pass: () => {}, hasStruck: () => false };

/** Each call is a point before it and a point after it: done and not answered is a death of its own. */
export function mortal<T extends object>(whole: T, names: readonly (keyof T)[], fate: Fate): T {
  const calls = names.map((name) => {
    const call = whole[name] as (...args: unknown[]) => Promise<unknown>;
    const dying = async (...args: unknown[]) => {
      fate.pass();
      const result = await call(...args);
      fate.pass();
      return result;
    };
    return [name, dying] as const;
  });
  return { ...whole, ...Object.fromEntries(calls) };
}

export function mortalContext<T extends StepContext>(context: T, fate: Fate): T {
  return {
    ...context,
    ledger: mortal(context.ledger, ['intend', 'settle'], fate),
    checkpoints: mortal(context.checkpoints, ['set', 'delete'], fate),
  };
}

/** Delivers a step again and again until it is done, as the queue would; `between` lets time pass. */
export async function untilDone(
  attempt: () => Promise<StepOutcome<StepOutput>>,
  between: (afterMs: number) => unknown = () => {},
): Promise<StepOutput> {
  for (let delivery = 0; delivery < 200; delivery += 1) {
    const outcome = await attempt();
    if (outcome.kind === 'done') return outcome.value;
    await between(outcome.afterMs);
  }
  throw new Error('the step never ends');
}
