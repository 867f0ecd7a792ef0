import { describe, expect, test } from 'vitest';
import {
  countAtWork,
  currentStage,
  type Filter,
  listRows,
  stagesOf,
} from '../../../src/dashboard/page/view/wave-rows.ts';
import { makeMachine, makeMachines, stagesUpTo } from './fixture-run.ts';

const ALL: Filter = { search: '', isFailingOnly: false, order: 'wave' };
const machines = makeMachines(60);
const troubled = machines.filter(({ isTroubled }) => isTroubled);

describe('the list', () => {
  test('puts what is in trouble first and keeps the order of the wave among equals', () => {
    const rows = listRows(machines, { ...ALL, order: 'trouble' });
    expect(rows.slice(0, troubled.length).every(({ isTroubled }) => isTroubled)).toBe(true);
    const landed = rows.filter(({ status }) => status === 'landed').map(({ position }) => position);
    expect(landed).toEqual([...landed].sort((a, b) => a - b));
    expect(rows.at(-1)?.status).toBe('landed');
  });

  test('holds only what is in trouble on demand', () => {
    expect(listRows(machines, { ...ALL, isFailingOnly: true })).toEqual(troubled);
  });

  test('finds each word, in whatever case, in name, group, note, status or stage', () => {
    const search = (text: string) => listRows(machines, { ...ALL, search: text });
    expect(search('SHOP-009').map(({ name }) => name)).toEqual(['shop-009']);
    expect(
      search('offices moving').every(({ group, status }) => group === 'offices' && status === 'moving'),
    ).toBe(true);
    expect(search('putobject')).toHaveLength(1);
    expect(search('.*')).toEqual([]);
    expect(search('   ')).toHaveLength(60);
  });

  test('sorts numbers in names as numbers', () => {
    const names = ['vm-10', 'vm-9', 'vm-1'].map((name, index) => makeMachine(index, { name }));
    expect(listRows(names, { ...ALL, order: 'name' }).map(({ name }) => name)).toEqual([
      'vm-1',
      'vm-9',
      'vm-10',
    ]);
  });

  test('does not change what it is given', () => {
    const before = machines.map(({ name }) => name);
    listRows(machines, { ...ALL, order: 'eta' });
    expect(machines.map(({ name }) => name)).toEqual(before);
  });
});

describe('stages', () => {
  test('are those of the run, in the order of the flow', () => {
    expect(stagesOf(machines)).toEqual([
      'shutdown',
      'export',
      'convert',
      'upload',
      'import',
      'validate',
      'admit',
    ]);
    const files = [makeMachine(0, { stages: stagesUpTo(2).filter(({ stage }) => stage !== 'shutdown') })];
    expect(stagesOf(files)).not.toContain('shutdown');
  });

  test('hold the way back only where a machine goes it', () => {
    const back = { stage: 'rollback', try: 1, startedAt: null, endedAt: null } as const;
    const line = (state: 'pending' | 'active') =>
      makeMachine(0, { stages: [...stagesUpTo(3), { ...back, state }] });
    expect(stagesOf([line('pending')])).not.toContain('rollback');
    expect(stagesOf([line('active')]).at(-1)).toBe('rollback');
  });

  test('count who is at work, waiting for another try included', () => {
    const lines = [
      makeMachine(0, { stages: stagesUpTo(3, 'active') }),
      makeMachine(1, { stages: stagesUpTo(3, 'waiting', 2) }),
      makeMachine(2, { stages: stagesUpTo(4, 'failed') }),
    ];
    expect([...countAtWork(lines)]).toEqual([['upload', 2]]);
    expect(lines.map((line) => currentStage(line)?.stage)).toEqual(['upload', 'upload', 'import']);
  });
});
