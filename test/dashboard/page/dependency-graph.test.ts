import { describe, expect, test } from 'vitest';
import type { MachineLine } from '../../../src/dashboard/api/run.ts';
import { layOutGraph, NODE_HEIGHT, NODE_WIDTH } from '../../../src/dashboard/page/view/dependency-graph.ts';
import { makeMachine, makeMachines } from './fixture-run.ts';

function chain(...names: string[]): MachineLine[] {
  return names.map((name, index) =>
    makeMachine(index, { name, group: null, after: index === 0 ? [] : [names[index - 1] ?? ''] }),
  );
}

describe('the graph', () => {
  test('of few machines shows each, what it comes after to its left', () => {
    const [first, ...more] = chain('db', 'app', 'web');
    if (first === undefined) throw new Error('no machine');
    const { nodes, edges } = layOutGraph([{ ...first, status: 'rolled-back', isTroubled: false }, ...more]);
    expect(nodes.map(({ label }) => label)).toEqual(['db', 'app', 'web']);
    expect(nodes[0]).toMatchObject({ status: 'rolled-back', tone: 'back' });
    const [db, app, web] = nodes.map(({ x }) => x);
    expect(db).toBeLessThan(app ?? 0);
    expect(app).toBeLessThan(web ?? 0);
    expect(edges).toHaveLength(2);
  });

  test('of many machines shows groups with what became of their machines', () => {
    const machines = makeMachines(1000);
    const { nodes, edges } = layOutGraph(machines);
    expect(nodes.map(({ label }) => label).sort()).toEqual(['databases', 'middleware', 'offices', 'shops']);
    expect(nodes.reduce((sum, { machines: amount }) => sum + amount, 0)).toBe(1000);
    expect(edges).toHaveLength(3);
  });

  test('marks a way as met once all before it landed', () => {
    const [db, app] = chain('db', 'app');
    if (db === undefined || app === undefined) throw new Error('two machines');
    expect(layOutGraph([db, app]).edges[0]?.isMet).toBe(false);
    expect(layOutGraph([{ ...db, status: 'landed' }, app]).edges[0]?.isMet).toBe(true);
  });

  test('puts no two nodes on one another', () => {
    const { nodes, width, height } = layOutGraph(makeMachines(14));
    for (const [index, a] of nodes.entries()) {
      expect(a.x + NODE_WIDTH).toBeLessThanOrEqual(width);
      expect(a.y + NODE_HEIGHT).toBeLessThanOrEqual(height);
      for (const b of nodes.slice(index + 1)) {
        expect(Math.abs(a.x - b.x) >= NODE_WIDTH || Math.abs(a.y - b.y) >= NODE_HEIGHT).toBe(true);
      }
    }
  });

  test('ends on a circle, a name that is unknown, and no machine at all', () => {
    const circle = chain('a', 'b').map((line) => ({ ...line, after: [line.name === 'a' ? 'b' : 'a'] }));
    expect(layOutGraph(circle).nodes).toHaveLength(2);
    expect(layOutGraph([makeMachine(0, { group: null, after: ['gone'] })]).edges).toEqual([]);
    expect(layOutGraph([])).toEqual({ nodes: [], edges: [], width: 0, height: 0 });
  });
});
