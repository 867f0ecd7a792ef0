import { describe, expect, test } from 'vitest';
import { percent, sayShares, sharesOf } from '../../../src/dashboard/page/view/disk-cells.ts';
import { listEvents, mergeEvents, signOf } from '../../../src/dashboard/page/view/event-filter.ts';
import { sayLeftovers } from '../../../src/dashboard/page/view/leftovers.ts';
import { nameAt } from '../../../src/dashboard/page/view/path-names.ts';
import { makeEvents, makeMachineDetail } from './fixture-machine.ts';
import { makeMachine, makeRun } from './fixture-run.ts';

describe('a disk', () => {
  test('is copied, zero and to do, which is all of it', () => {
    const cells = [
      { copied: 1, zero: 0 },
      { copied: 0.5, zero: 0.5 },
      { copied: 0, zero: 0 },
      { copied: 0, zero: 1 },
    ];
    // The last cell is half a cell.
    expect(sharesOf({ disk: 'a', bytes: 350, cellBytes: 100, cells })).toEqual({
      copied: 150 / 350,
      zero: 100 / 350,
      toDo: 100 / 350,
    });
  });

  test('whose map is not known has no shares', () => {
    expect(sharesOf({ disk: 'a', bytes: 350, cellBytes: 100, cells: null })).toBeNull();
  });

  test('claims nothing that overlaps or is out of range', () => {
    const shares = sharesOf({ disk: 'a', bytes: 100, cellBytes: 100, cells: [{ copied: 7, zero: 3 }] });
    expect(shares).toEqual({ copied: 1, zero: 0, toDo: 0 });
  });

  test('is never said to be done before it is', () => {
    expect(percent(0.999)).toBe('over 99 %');
    expect(percent(0.001)).toBe('under 1 %');
    expect(percent(1)).toBe('100 %');
    expect(sayShares({ copied: 0.25, zero: 0.75, toDo: 0 })).toBe(
      '25 % copied, 75 % zeros that are not sent, 0 % to do',
    );
  });
});

describe('events', () => {
  const events = makeEvents('weekend-1', 'shop-001');

  test('are listed newest first, of one kind, with all words', () => {
    const trouble = listEvents(events, { kind: 'trouble', search: '' });
    expect(trouble.map(({ at }) => at)).toEqual(trouble.map(({ at }) => at).toSorted((a, b) => b - a));
    expect(trouble).toHaveLength(5);
    expect(listEvents(events, { kind: 'operators', search: '' })).toHaveLength(1);
    expect(listEvents(events, { kind: 'all', search: 'RESET retrying' })).toHaveLength(2);
  });

  test('that come twice are there once, in order', () => {
    const merged = mergeEvents(events.slice(0, 6), events.slice(4));
    expect(merged).toEqual(events);
    expect(mergeEvents(events, events)).toBe(events);
  });

  test('of the same moment keep their order', () => {
    const [first] = events;
    if (first === undefined) throw new Error('no event');
    const late = { ...first, id: '5-10' };
    const early = { ...first, id: '5-9' };
    expect(mergeEvents([late], [early]).map(({ id }) => id)).toEqual(['5-9', '5-10']);
  });

  test('have a sign that tells trouble', () => {
    expect(events.map((event) => signOf(event).tone)).toContain('bad');
    expect(events.map((event) => signOf(event).tone)).toContain('go');
  });
});

test('leftovers are counted with what they cost, and what is not known is said', () => {
  const { ledger } = makeMachineDetail(makeRun(), makeMachine(0, { status: 'failed' }));
  expect(sayLeftovers(ledger)).toBe(
    '2 things are left over: US$ 1.55 a month at list price, and 1 whose price is not known.',
  );
  expect(sayLeftovers(ledger.filter(({ isLeftover }) => !isLeftover))).toBeNull();
  const unknown = ledger.map((entry) => ({ ...entry, costPerMonth: null }));
  expect(sayLeftovers(unknown)).toContain('not known here');
});

test('a name comes out of the address as it went in', () => {
  for (const name of ['<img src=x>', 'a/b', '100%', '%2F', 'a=b&c?d#e', 'ü', '..'])
    expect(nameAt(`/runs/w-1/machines/${encodeURIComponent(name)}`, 4)).toBe(name);
  expect(nameAt('/runs/50%', 2)).toBe('50%');
});
