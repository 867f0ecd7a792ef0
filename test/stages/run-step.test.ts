import { expect, it } from 'vitest';
import { runStep } from '../../src/stages/run-step.ts';
import { createJob, createMachine, createRecord, rawImage } from '../fakes/machine.ts';
import { createFakeSource } from '../fakes/source.ts';
import { createFakeTarget, LANDING } from '../fakes/target.ts';
import { createAttempt } from './attempt.ts';

const machine = createMachine();
const images = { '0': { ...rawImage('/none', 1), layout: { kind: 'blank' as const } } };

it('exports a disk of a machine that is off, and remembers the state that was fixed', async () => {
  const source = createFakeSource({ machine, images });
  const input = createAttempt({ job: createJob('export', '0'), source });
  expect(await runStep(input)).toEqual({
    kind: 'done',
    value: { stage: 'export', disk: '0', image: images['0'] },
  });
  expect(await input.context.checkpoints.get('export/0')).toEqual({ fingerprint: 'blank' });
});

it('refuses to export a machine that runs', async () => {
  const source = createFakeSource({ machine, images });
  source.power = 'on';
  await expect(runStep(createAttempt({ job: createJob('export', '0'), source }))).rejects.toMatchObject({
    code: 'source-not-off',
    message: expect.stringContaining('landfall retry run-1 web01'),
  });
});

it('refuses a machine that was started while it was exported', async () => {
  const source = createFakeSource({ machine, images });
  const startsMeanwhile = {
    ...source,
    powerState: async () => source.power,
    export: async () => {
      source.power = 'on';
      return images['0'];
    },
  };
  const input = createAttempt({ job: createJob('export', '0'), source: startsMeanwhile });
  await expect(runStep(input)).rejects.toMatchObject({ code: 'source-not-off' });
});

it('admits a proven landing, and waits while the target does', async () => {
  const target = createFakeTarget();
  target.admitOutcomes = [
    { kind: 'wait', afterMs: 100, note: 'groups' },
    { kind: 'done', value: LANDING },
  ];
  const input = createAttempt({
    record: { ...createRecord(), landing: LANDING },
    job: createJob('admit'),
    target,
  });
  expect(await runStep(input)).toEqual({ kind: 'wait', afterMs: 100, note: 'groups' });
  expect(await runStep(input)).toEqual({ kind: 'done', value: { stage: 'admit', landing: LANDING } });
});

it('does nothing once its signal aborted, and rejects with the reason', async () => {
  const input = createAttempt({ job: createJob('admit'), signal: AbortSignal.abort(new Error('cancelled')) });
  await expect(runStep(input)).rejects.toThrow('cancelled');
});

it('rejects with the reason of the abort, not with what fell over on the way out', async () => {
  const stop = new AbortController();
  const target = createFakeTarget();
  const dying = {
    ...target,
    admit: async () => {
      stop.abort(new Error('worker stops'));
      throw new Error('socket hang up');
    },
  };
  const record = { ...createRecord(), landing: LANDING };
  const input = createAttempt({ record, job: createJob('admit'), target: dying, signal: stop.signal });
  await expect(runStep(input)).rejects.toThrow('worker stops');
});
