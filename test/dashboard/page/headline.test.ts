import { describe, expect, test } from 'vitest';
import type { RunSummary } from '../../../src/dashboard/api/run.ts';
import { headlineOf, sayHeadline, sharesOf, totalOf } from '../../../src/dashboard/page/view/headline.ts';
import { HOUR_MS, MINUTE_MS, makeRun, NOW } from './fixture-run.ts';

const { estimate } = makeRun();

function estimated(differs: Partial<RunSummary['estimate']>): RunSummary {
  return makeRun({ estimate: { ...estimate, ...differs } });
}

test('a run is one sentence: what moves, what is in trouble, what it has to spare', () => {
  expect(sayHeadline(makeRun(), NOW)).toBe(
    'weekend-1: 38 of 41 moving or landed, 2 in trouble, makes its window with 1 h 10 min to spare',
  );
});

test('trouble and verdict come with a shape, not only with a colour', () => {
  const { trouble, window } = headlineOf(makeRun(), NOW);
  expect(trouble).toMatchObject({ tone: 'bad', shape: 'cross' });
  expect(window).toMatchObject({ tone: 'good', shape: 'check' });
});

test('where nothing is in trouble, nothing is said of it', () => {
  expect(headlineOf(makeRun({ troubled: 0 }), NOW).trouble).toBeNull();
});

test('who went back is told, and that the window is made by the rest only', () => {
  const run = makeRun({ troubled: 0 }, { 'rolled-back': 1 });
  expect(sayHeadline(run, NOW)).toMatch(
    /, 1 rolled back, the rest makes the window with 1 h 10 min to spare$/,
  );
  expect(headlineOf(run, NOW).back).toMatchObject({ tone: 'back', shape: 'back' });
});

describe('of a window it says', () => {
  const opensAt = NOW + 2 * HOUR_MS;
  const window = { ...makeRun().window, opensAt, closesAt: opensAt + HOUR_MS } as RunSummary['window'];
  test.each<[string, RunSummary, string]>([
    [
      'how much it misses',
      estimated({ verdict: 'misses-it', endsAt: NOW + 4.5 * HOUR_MS }),
      'misses its window by 30 min',
    ],
    [
      'that no rollback fits any more',
      estimated({ verdict: 'at-risk', endsAt: NOW + 3.7 * HOUR_MS }),
      'at risk: done 18 min after the last moment for a rollback',
    ],
    [
      'that too little is known',
      estimated({ verdict: 'unknown', endsAt: null }),
      'too early to say whether it makes its window, which closes in 4 h',
    ],
    ['when it opens', makeRun({ window }), 'window opens in 2 h'],
    [
      'that an approval is missing',
      makeRun({ approval: { given: null, byAnother: false } }),
      'waits for approval',
    ],
    [
      'that there is none, and when it is done',
      makeRun({ window: null }),
      'done in about 2 h 50 min, no window to make',
    ],
    ['how a run ended', makeRun({ status: 'landed', endedAt: NOW }), 'ended 4 h before its window closed'],
    [
      'how late a run ended',
      makeRun({ status: 'partial', endedAt: NOW + 5 * HOUR_MS }),
      'ended 1 h after its window',
    ],
  ])('%s', (_what, run, text) => {
    expect(headlineOf(run, NOW).window?.text).toBe(text);
  });

  test('that it closed while work was left', () => {
    const run = estimated({ verdict: 'misses-it', endsAt: NOW + 6 * HOUR_MS });
    expect(headlineOf(run, NOW + 4 * HOUR_MS + 5 * MINUTE_MS).window?.text).toBe(
      'its window closed 5 min ago',
    );
  });
});

test('the shares of the bar are all machines', () => {
  const run = makeRun({}, { 'rolling-back': 2, 'rolled-back': 3, cancelled: 4, discarded: 1, blocked: 5 });
  expect(sharesOf(run).reduce((sum, { machines }) => sum + machines, 0)).toBe(totalOf(run));
});
