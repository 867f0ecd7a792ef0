/** Admit puts a proven landing into service: from quarantine into the wave's network. */
import type { StepOutput } from '../domain/machine-record.ts';
import type { StepOutcome } from '../domain/ports.ts';
import { landingOf, type StepInput } from './step-input.ts';

export async function admitLanding({ record, target, context }: StepInput): Promise<StepOutcome<StepOutput>> {
  const outcome = await target.admit({ to: record.plan.to, landing: landingOf(record) }, context);
  if (outcome.kind === 'wait') return outcome;
  return { kind: 'done', value: { stage: 'admit', landing: outcome.value } };
}
