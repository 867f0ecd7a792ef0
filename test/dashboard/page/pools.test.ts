import { describe, expect, test } from 'vitest';
import {
  consequencesOf,
  groupByHost,
  nameOfPool,
  type Pool,
  readConcurrency,
  signOfBeat,
  signOfLoad,
  signOfPool,
} from '../../../src/dashboard/page/view/pools.ts';
import { NOW } from './fixture-run.ts';
import { makeWorkers } from './fixture-workers.ts';

const pool: Pool = {
  pool: 'upload',
  site: 'berlin',
  isPaused: false,
  concurrency: null,
  slots: 8,
  active: 2,
  waiting: 3,
  delayed: 0,
};

describe('a pool', () => {
  test('is called as its queue is', () => {
    expect(nameOfPool(pool)).toBe('upload.berlin');
    expect(nameOfPool({ ...pool, site: null })).toBe('upload');
  });

  test('that nobody serves while work waits is trouble', () => {
    expect(signOfPool(pool).word).toBe('at work');
    expect(signOfPool({ ...pool, slots: 0 }).tone).toBe('bad');
    expect(signOfPool({ ...pool, slots: 0, waiting: 0 }).tone).toBe('idle');
    expect(signOfPool({ ...pool, isPaused: true }).word).toBe('paused');
  });

  test('says what a change of it means', () => {
    expect(consequencesOf(pool, { kind: 'pause' }).join(' ')).toContain('2 steps that run come to their end');
    expect(consequencesOf(pool, { kind: 'resume' }).join(' ')).toContain('3 waiting steps begin');
    expect(consequencesOf(pool, { kind: 'concurrency', value: 12 })[0]).toContain('up to 12');
    expect(consequencesOf(pool, { kind: 'concurrency', value: null })[0]).toContain('as it was started');
  });

  test('does 1 to 256 steps at once', () => {
    expect(['1', ' 256 '].map(readConcurrency)).toEqual([1, 256]);
    expect(['0', '257', '-1', '1.5', '1e2', ''].map(readConcurrency)).toEqual([
      null,
      null,
      null,
      null,
      null,
      null,
    ]);
  });
});

test('a heart that was not heard of for long is told by shape and tone', () => {
  const signs = [2_000, 30_000, 90_000].map((age) => signOfBeat(NOW - age, NOW));
  expect(signs.map(({ tone }) => tone)).toEqual(['good', 'warn', 'bad']);
  expect(new Set(signs.map(({ shape }) => shape)).size).toBe(3);
  // A clock that is a little ahead.
  expect(signOfBeat(NOW + 500, NOW).word).toBe('0 s ago');
});

test('a load that was not told is not said to be none', () => {
  expect(signOfLoad(null).word).toBe('not told');
  expect(signOfLoad(0).word).toBe('0.00 per core');
  expect(signOfLoad(2).tone).toBe('bad');
});

test('processes of one host stand together', () => {
  const hosts = groupByHost(makeWorkers(NOW, new Set(), new Map()).workers);
  expect(hosts.map(({ host, workers }) => [host, workers.length])).toEqual([
    ['kvm-07.berlin.acme.example', 2],
    ['mover-1.acme.example', 1],
    ['mover-2.acme.example', 1],
  ]);
});
