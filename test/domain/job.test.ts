import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type Job,
  jobId,
  poolOf,
  queueName,
  retryDelayMs,
  STEP_STAGES,
  stepKey,
} from '../../src/domain/job.ts';

const name = fc.string({ unit: 'grapheme', minLength: 1 });
const job: fc.Arbitrary<Job> = fc.record({
  run: fc.stringMatching(/^[a-z0-9-]{1,20}$/),
  machine: name,
  stage: fc.constantFrom(...STEP_STAGES),
  disk: fc.option(fc.stringMatching(/^[0-9]{1,3}$/)),
  pass: fc.nat(20),
  try: fc.integer({ min: 1, max: 1000 }),
});

describe('jobId', () => {
  it('is RUN.MACHINE.STAGE.DISK.PASS.TRY', () => {
    const upload: Job = { run: 'r1', machine: 'shop web', stage: 'upload', disk: '0', pass: 0, try: 3 };
    expect(jobId(upload)).toBe('r1.shop%20web.upload.0.0.3');
    expect(jobId({ ...upload, stage: 'import', disk: null })).toBe('r1.shop%20web.import.-.0.3');
  });

  it('names one job only, even where machines have dots and percent signs in their names', () => {
    fc.assert(
      fc.property(job, job, (one, other) => {
        expect(jobId(one) === jobId(other)).toBe(
          JSON.stringify(sorted(one)) === JSON.stringify(sorted(other)),
        );
      }),
    );
  });

  it('is one that BullMQ takes: no colon, not all digits', () => {
    fc.assert(
      fc.property(job, (any) => {
        expect(jobId(any)).not.toContain(':');
        expect(jobId(any)).not.toMatch(/^\d+$/);
      }),
    );
  });
});

describe('stepKey', () => {
  it.each([
    [{ stage: 'upload', disk: '0', pass: 0 }, 'upload/0'],
    [{ stage: 'upload', disk: '12', pass: 2 }, 'upload/12@2'],
    [{ stage: 'import', disk: null, pass: 0 }, 'import'],
  ] as const)('of %o is %s', (ref, key) => {
    expect(stepKey(ref)).toBe(key);
  });
});

describe('queues', () => {
  it('serve shutdown, admit and rollback with the pool of power, every other step with its own', () => {
    expect(STEP_STAGES.map((stage) => [stage, poolOf(stage)])).toEqual([
      ['shutdown', 'power'],
      ['export', 'export'],
      ['convert', 'convert'],
      ['upload', 'upload'],
      ['import', 'import'],
      ['validate', 'validate'],
      ['admit', 'power'],
      ['rollback', 'power'],
    ]);
  });

  it('are named by pool, and by site where their work is bound to one', () => {
    expect(queueName('upload', null)).toBe('upload');
    expect(queueName('upload', 'berlin')).toBe('upload.berlin');
    expect(queueName('import', 'berlin')).toBe('import');
  });
});

describe('retryDelayMs', () => {
  it('doubles from 2 s to 2 min, cut by at most a quarter', () => {
    fc.assert(
      fc.property(job, (any) => {
        const fullMs = Math.min(120_000, 2_000 * 2 ** (any.try - 1));
        const delayMs = retryDelayMs(any);
        expect(delayMs).toBeLessThanOrEqual(fullMs);
        expect(delayMs).toBeGreaterThanOrEqual(Math.floor(fullMs * 0.75));
      }),
    );
  });

  it('is the same for the same job, and spreads different ones', () => {
    const of = (machine: string): number =>
      retryDelayMs({ run: 'r', machine, stage: 'upload', disk: '0', pass: 0, try: 5 });
    expect(of('a')).toBe(of('a'));
    const delays = new Set(Array.from({ length: 50 }, (_, index) => of(`m${index}`)));
    expect(delays.size).toBeGreaterThan(40);
  });
});

function sorted(any: Job): unknown[] {
  return [any.run, any.machine, any.stage, any.disk, any.pass, any.try];
}
