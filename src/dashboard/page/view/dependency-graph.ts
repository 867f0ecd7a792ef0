/**
 * What comes after what, in layers from left to right: pure layout. Small waves show each machine; of larger ones only groups,
 * with machines of no group together by what they wait for.
 */
import type { MachineLine } from '../../api/run.ts';
import { MACHINE_SIGNS, type MachineStatus, type Tone } from '../status/words.ts';

export type GraphNode = {
  id: string;
  label: string;
  /** Of machines of one group, how many are where. */
  machines: number;
  landed: number;
  moving: number;
  troubled: number;
  tone: Tone;
  /** How its one machine stands; null: it stands for a group. */
  status: MachineStatus | null;
  x: number;
  y: number;
};
export type GraphEdge = { from: string; to: string; isMet: boolean; path: string };
export type Graph = { nodes: GraphNode[]; edges: GraphEdge[]; width: number; height: number };

/** More machines than this are a thicket: groups then. */
const MOST_MACHINES = 14;
export const NODE_WIDTH = 150;
export const NODE_HEIGHT = 48;
const GAP_X = 38;
const GAP_Y = 14;

type Bundle = { id: string; label: string; lines: MachineLine[]; isMachine: boolean };

export function layOutGraph(machines: readonly MachineLine[]): Graph {
  const bundles = machines.length <= MOST_MACHINES ? singly(machines) : byGroup(machines);
  const links = linksOf(bundles);
  const layers = layersOf(bundles, links);
  const nodes = placeNodes(bundles, layers, links);
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const edges = links.flatMap(({ from, to }): GraphEdge[] => {
    const [a, b] = [byId.get(from), byId.get(to)];
    if (a === undefined || b === undefined) return [];
    return [{ from, to, isMet: a.landed === a.machines, path: curve(a, b) }];
  });
  return {
    nodes,
    edges,
    width: Math.max(0, ...nodes.map(({ x }) => x + NODE_WIDTH)),
    height: Math.max(0, ...nodes.map(({ y }) => y + NODE_HEIGHT)),
  };
}

function singly(machines: readonly MachineLine[]): Bundle[] {
  return machines.map((line) => ({
    id: `machine ${line.name}`,
    label: line.name,
    lines: [line],
    isMachine: true,
  }));
}

function byGroup(machines: readonly MachineLine[]): Bundle[] {
  const bundles = new Map<string, Bundle>();
  for (const line of machines) {
    const id = line.group === null ? `none ${line.after.join(',')}` : `group ${line.group}`;
    const bundle = bundles.get(id) ?? { id, label: line.group ?? 'no group', lines: [], isMachine: false };
    bundle.lines.push(line);
    bundles.set(id, bundle);
  }
  return [...bundles.values()];
}

/** `after` names machines and groups; both lead to the bundles that hold them. */
function linksOf(bundles: readonly Bundle[]): { from: string; to: string }[] {
  const holders = new Map<string, Set<string>>();
  const hold = (name: string, id: string): void => {
    holders.set(name, (holders.get(name) ?? new Set()).add(id));
  };
  for (const { id, lines } of bundles) {
    for (const { name, group } of lines) {
      hold(name, id);
      if (group !== null) hold(group, id);
    }
  }
  const links = new Map<string, { from: string; to: string }>();
  for (const { id, lines } of bundles) {
    const before = new Set(
      lines.flatMap(({ after }) => after.flatMap((name) => [...(holders.get(name) ?? [])])),
    );
    for (const from of before) if (from !== id) links.set(`${from}\n${id}`, { from, to: id });
  }
  return [...links.values()];
}

/** The longest way from a beginning. A circle, which waves refuse, would end at as many layers as there are nodes. */
function layersOf(
  bundles: readonly Bundle[],
  links: readonly { from: string; to: string }[],
): Map<string, number> {
  const layers = new Map(bundles.map(({ id }) => [id, 0]));
  for (let round = 0; round < bundles.length; round += 1) {
    let hasMoved = false;
    for (const { from, to } of links) {
      const least = (layers.get(from) ?? 0) + 1;
      if ((layers.get(to) ?? 0) >= least || least >= bundles.length) continue;
      layers.set(to, least);
      hasMoved = true;
    }
    if (!hasMoved) break;
  }
  return layers;
}

function placeNodes(
  bundles: readonly Bundle[],
  layers: ReadonlyMap<string, number>,
  links: readonly { from: string; to: string }[],
): GraphNode[] {
  const nodes: GraphNode[] = [];
  const columns = [...Map.groupBy(bundles, ({ id }) => layers.get(id) ?? 0)].sort(([a], [b]) => a - b);
  const tallest = Math.max(0, ...columns.map(([, column]) => column.length));
  const heightOf = (rows: number): number => rows * (NODE_HEIGHT + GAP_Y) - GAP_Y;
  const placed = new Map<string, number>();
  for (const [layer, column] of columns) {
    // Beside what it comes after: fewer lines cross.
    const wish = (id: string): number => {
      const before = links.filter(({ to }) => to === id).flatMap(({ from }) => placed.get(from) ?? []);
      return before.length === 0 ? 0 : before.reduce((sum, y) => sum + y, 0) / before.length;
    };
    const sorted = [...column].sort((a, b) => wish(a.id) - wish(b.id));
    const top = (heightOf(tallest) - heightOf(sorted.length)) / 2;
    for (const [row, bundle] of sorted.entries()) {
      const y = top + row * (NODE_HEIGHT + GAP_Y);
      placed.set(bundle.id, y);
      nodes.push({ ...summarise(bundle), x: layer * (NODE_WIDTH + GAP_X), y });
    }
  }
  return nodes;
}

function summarise({ id, label, lines, isMachine }: Bundle): Omit<GraphNode, 'x' | 'y'> {
  const landed = lines.filter(({ status }) => status === 'landed').length;
  const moving = lines.filter(({ status }) => status === 'moving').length;
  const troubled = lines.filter(({ isTroubled }) => isTroubled).length;
  const [only] = lines;
  const status = isMachine ? (only?.status ?? null) : null;
  const ofGroup: Tone = troubled > 0 ? 'bad' : landed === lines.length ? 'good' : moving > 0 ? 'go' : 'idle';
  const tone = status === null ? ofGroup : MACHINE_SIGNS[status].tone;
  return {
    id,
    label,
    machines: lines.length,
    landed,
    moving,
    troubled,
    tone,
    status,
  };
}

function curve(from: { x: number; y: number }, to: { x: number; y: number }): string {
  const [x1, y1] = [from.x + NODE_WIDTH, from.y + NODE_HEIGHT / 2];
  const [x2, y2] = [to.x, to.y + NODE_HEIGHT / 2];
  const bend = (x2 - x1) / 2;
  return `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2 - 4} ${y2}`;
}
