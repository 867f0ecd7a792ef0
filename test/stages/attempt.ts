/** One attempt at one step over fakes; a second attempt over the same `state` is what follows a killed one. */

import type { StepInput } from '../../src/stages/step-input.ts';
import { createFakeEvidence, type FakeEvidence } from '../fakes/evidence.ts';
import { createJob, createRecord } from '../fakes/machine.ts';
import { createFakeSource } from '../fakes/source.ts';
import {
  createDurableState,
  createStepContext,
  type DurableState,
  type FakeStepContext,
  type StepContextOptions,
} from '../fakes/step-context.ts';
import { createFakeTarget } from '../fakes/target.ts';

export type Attempt = StepInput & { context: FakeStepContext; evidence: FakeEvidence };

export function createAttempt(
  options: Partial<Omit<StepInput, 'context' | 'evidence'>> &
    Pick<StepContextOptions, 'signal' | 'clock'> & { state?: DurableState; evidence?: FakeEvidence },
): Attempt {
  const { signal, clock, state = createDurableState() } = options;
  const record = options.record ?? createRecord();
  const context = createStepContext({
    run: record.run,
    machine: record.machine.name,
    state,
    ...(signal === undefined ? {} : { signal }),
    ...(clock === undefined ? {} : { clock }),
  });
  return {
    record,
    job: options.job ?? createJob('upload', '0'),
    source: options.source ?? createFakeSource({ machine: record.machine, images: record.images }),
    target: options.target ?? createFakeTarget(),
    evidence: options.evidence ?? createFakeEvidence(),
    stagingFolder: options.stagingFolder ?? '/nowhere/staging',
    waveFolder: options.waveFolder ?? '/nowhere/waves',
    holdOtherSteps: options.holdOtherSteps ?? (async () => ({ [Symbol.asyncDispose]: async () => {} })),
    context,
  };
}
