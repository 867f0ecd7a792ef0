import { describe, expect, it } from 'vitest';
import { findCycle, findUnknownNames, type Ordered } from '../../src/domain/machine-order.ts';

function machine(name: string, after: readonly string[] = [], group: string | null = null): Ordered {
  return { name, group, after };
}

describe('findCycle', () => {
  it('finds none where all can land', () => {
    const machines = [
      machine('web', ['app', 'db']),
      machine('app', ['db']),
      machine('db'),
      machine('x', ['db']),
    ];
    expect(findCycle(machines)).toBeNull();
  });

  it('tells the circle, the first one again at its end', () => {
    const machines = [
      machine('x', ['web']),
      machine('web', ['app']),
      machine('app', ['db']),
      machine('db', ['web']),
    ];
    expect(findCycle(machines)).toEqual(['web', 'app', 'db', 'web']);
    expect(findCycle([machine('web', ['web'])])).toEqual(['web', 'web']);
  });

  it('sees the machines of a group behind its name', () => {
    const machines = [machine('db', ['tier']), machine('web', ['db'], 'tier')];
    expect(findCycle(machines)).toEqual(['db', 'tier', 'web', 'db']);
    expect(findCycle([machine('web', ['tier'], 'tier')])).toEqual(['web', 'tier', 'web']);
  });

  it('takes ten thousand machines, one after the other', () => {
    const machines = Array.from({ length: 10_000 }, (_none, index) =>
      machine(`m${index}`, [`m${index + 1}`]),
    );
    expect(findCycle([...machines, machine('m10000')])).toBeNull();
    expect(findCycle([...machines, machine('m10000', ['m0'])])).toHaveLength(10_002);
  });
});

describe('findUnknownNames', () => {
  it('knows machines, and groups with machines in them', () => {
    const machines = [machine('web', ['db', 'tier', 'bd'], 'tier'), machine('db')];
    expect(findUnknownNames(machines)).toEqual([{ by: 'web', name: 'bd' }]);
  });
});
