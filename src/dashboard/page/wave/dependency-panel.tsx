import { useMemo } from 'react';
import { Link } from 'wouter';
import type { MachineLine } from '../../api/run.ts';
import { Panel } from '../components/panel.tsx';
import { SignShape } from '../status/sign-shape.tsx';
import type { Shape, Tone } from '../status/words.ts';
import { type GraphNode, layOutGraph, NODE_HEIGHT, NODE_WIDTH } from '../view/dependency-graph.ts';
import { count } from '../view/sizes.ts';
import styles from './dependency-panel.module.css';

const SHAPES: Readonly<Record<Tone, Shape>> = {
  good: 'check',
  go: 'play',
  bad: 'cross',
  warn: 'pause',
  back: 'back',
  idle: 'circle',
};

/** What comes after what, left to right: groups, or machines where they are few. */
export function DependencyPanel(props: {
  run: string;
  machines: readonly MachineLine[];
  gates: ReadonlyMap<string, string>;
}) {
  const { run, machines, gates } = props;
  const graph = useMemo(() => layOutGraph(machines), [machines]);
  const { nodes, edges, width, height } = graph;
  const labels = new Map(nodes.map(({ id, label }) => [id, label]));
  return (
    <Panel
      title="Dependencies"
      aside={edges.length === 0 ? 'nothing waits for another' : 'left before right'}
    >
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard. */}
      <section className={styles.scroll} tabIndex={0} aria-label="Graph of groups and machines">
        <div className={styles.graph} style={{ width, height }}>
          <svg className={styles.edges} width={width} height={height} aria-hidden="true">
            {edges.map(({ from, to, path, isMet }) => (
              <path key={`${from}\n${to}`} d={path} className={isMet ? styles.met : styles.edge} />
            ))}
          </svg>
          <ul>
            {nodes.map((node) => (
              <li key={node.id} className={styles.node} data-tone={node.tone} style={boxOf(node)}>
                <NodeText run={run} node={node} gate={gates.get(node.label) ?? null} />
                <span className={styles.hidden}>
                  {edges
                    .filter(({ to }) => to === node.id)
                    .map(({ from }) => `after ${labels.get(from)}`)
                    .join(', ')}
                </span>
              </li>
            ))}
          </ul>
        </div>
      </section>
    </Panel>
  );
}

function NodeText({ run, node, gate }: { run: string; node: GraphNode; gate: string | null }) {
  const { label, machine, machines, landed, troubled, tone } = node;
  const state =
    machine === null
      ? `${landed} of ${count(machines, 'machine')} landed${troubled === 0 ? '' : `, ${troubled} in trouble`}`
      : troubled > 0
        ? 'in trouble'
        : landed > 0
          ? 'landed'
          : tone === 'go'
            ? 'moving'
            : 'waiting';
  return (
    <div className={styles.text} title={[label, state, gate].filter((part) => part !== null).join('\n')}>
      <span className={styles.label}>
        <SignShape shape={SHAPES[tone]} tone={tone} />
        {machine === null ? (
          <strong>{label}</strong>
        ) : (
          <Link href={`/runs/${encodeURIComponent(run)}/machines/${encodeURIComponent(machine)}`}>
            {label}
          </Link>
        )}
      </span>
      <span className={styles.state}>{machine === null ? shortState(node) : state}</span>
      {gate !== null && <span className={styles.hidden}>{gate}</span>}
    </div>
  );
}

function shortState({ landed, machines, troubled }: GraphNode): string {
  return troubled === 0 ? `${landed}/${machines} landed` : `${landed}/${machines}, ${troubled} in trouble`;
}

function boxOf({ x, y }: GraphNode): Record<'left' | 'top' | 'width' | 'height', number> {
  return { left: x, top: y, width: NODE_WIDTH, height: NODE_HEIGHT };
}
