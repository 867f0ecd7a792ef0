import { expect, test } from 'vitest';
import { describeArchived } from '../../src/cli/describe-archived.ts';
import type { MachineRecord, MachineStatus } from '../../src/domain/machine-record.ts';
import { createRecord } from '../fakes/machine.ts';

const of = (status: MachineStatus, startedAt: number | null = 1): MachineRecord => ({
  ...createRecord(),
  status,
  startedAt,
});

test.each<[string, MachineRecord[], string]>([
  [
    'what failed and was cancelled',
    [of('failed'), of('cancelled')],
    '; what it made stays: `landfall cleanup w`.',
  ],
  ['what never began', [of('cancelled', null)], '.'],
  ['what was discarded', [of('discarded')], '.'],
  ['what landed', [of('landed')], '. Machines that landed stay as they are.'],
  [
    'both',
    [of('landed'), of('failed')],
    '; what it made stays: `landfall cleanup w`. Machines that landed stay as they are.',
  ],
])('an archived run says what it leaves of %s', (_, machines, said) => {
  expect(describeArchived('w', machines)).toBe(`Archived w${said}`);
});

test('an archived run says which sources stay off, since it takes none back', () => {
  const record = createRecord({ isControlled: true });
  const { shutdown } = record.steps;
  if (shutdown === undefined) throw new Error('no shutdown');
  const steps = { ...record.steps, shutdown: { ...shutdown, state: 'done' as const } };
  const off = { ...record, status: 'cancelled' as const, startedAt: 1, steps };
  expect(describeArchived('w', [off])).toMatch(
    / web01 may be off at the source, with nothing in place of it: /,
  );
});
