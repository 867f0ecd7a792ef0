import type { RunSummary } from '../../api/run.ts';
import { Bar } from '../components/bar.tsx';
import { SignShape } from '../status/sign-shape.tsx';
import type { Shape, Tone } from '../status/words.ts';
import { sharesOf, totalOf } from '../view/headline.ts';
import styles from './machine-shares.module.css';

const SHAPES: Readonly<Record<Tone, Shape>> = {
  good: 'check',
  go: 'play',
  bad: 'cross',
  warn: 'pause',
  back: 'back',
  idle: 'circle',
};

/** How many machines stand where, as a bar and in words. */
export function MachineShares({ run }: { run: RunSummary }) {
  const total = totalOf(run);
  const shares = sharesOf(run).filter(({ machines }) => machines > 0);
  const words = shares.map(({ word, machines }) => `${machines} ${word}`).join(', ');
  return (
    <div className={styles.shares}>
      <Bar
        label={`Of ${total} machines: ${words}`}
        parts={shares.map(({ tone, machines }) => ({ tone, share: machines / total }))}
      />
      <ul className={styles.legend}>
        {shares.map(({ word, machines, tone }) => (
          <li key={word} data-tone={tone}>
            <SignShape shape={SHAPES[tone]} tone={tone} />
            <strong>{machines}</strong> {word}
          </li>
        ))}
      </ul>
    </div>
  );
}
