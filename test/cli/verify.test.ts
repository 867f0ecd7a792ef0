import { expect, test } from 'vitest';
import { describeVerdicts } from '../../src/cli/commands/verify.ts';
import { LandfallError, saveError } from '../../src/domain/errors.ts';
import type { DiskVerdict } from '../../src/operations/verify.ts';

function unkept(machine: string, disk: string): DiskVerdict {
  const message = `The wave kept no snapshot of ${machine} disk ${disk}. Keep some.`;
  return {
    machine,
    disk,
    state: 'failed',
    error: saveError(new LandfallError({ code: 'target-missing', message })),
  };
}

test('a reason that holds for many disks is told once, and then of how many', () => {
  const { one, repeated } = describeVerdicts();
  const machines = ['a', 'b', 'c', 'd', 'e', 'f'];
  const lines = machines.flatMap((machine) => one(unkept(machine, '0')));
  expect(lines).toEqual(['a disk 0: not compared. The wave kept no snapshot of a disk 0. Keep some.']);
  expect(repeated()).toEqual([
    'b disk 0, c disk 0, d disk 0 and 2 more (5): not compared, for the reason told of a disk 0',
  ]);
});

test('another reason, and each disk that was compared, is told by itself', () => {
  const { one, repeated } = describeVerdicts();
  const same: DiskVerdict = {
    machine: 'a',
    disk: '0',
    state: 'same',
    comparedBytes: 1024,
    differingBlocks: 0,
    differingOffsets: [],
  };
  const verdicts: DiskVerdict[] = [
    same,
    { ...same, disk: '1' },
    unkept('b', '0'),
    { machine: 'b', disk: '1', state: 'not-comparable', reason: 'it was changed' },
  ];
  expect(verdicts.flatMap(one)).toHaveLength(4);
  expect(repeated()).toEqual([]);
});
