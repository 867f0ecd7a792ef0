import type { ReactNode } from 'react';
import { SignShape } from '../status/sign-shape.tsx';
import type { Shape, Tone } from '../status/words.ts';
import styles from './notice.module.css';
import { Sentence } from './sentence.tsx';

const SHAPES: Readonly<Record<Tone, Shape>> = {
  go: 'play',
  good: 'check',
  warn: 'alert',
  bad: 'cross',
  back: 'back',
  idle: 'question',
};

/** Something to know or to do. `role`: `alert` where it interrupts, `status` where it is told when there is time. */
export function Notice(props: {
  tone: Tone;
  title?: string;
  children?: ReactNode;
  role?: 'alert' | 'status';
  shape?: Shape;
}) {
  const { tone, title, children, role, shape = SHAPES[tone] } = props;
  return (
    <div className={styles.notice} data-tone={tone} role={role}>
      <SignShape shape={shape} tone={tone} />
      <div className={styles.text}>
        {title !== undefined && <strong>{title}</strong>}
        {children}
      </div>
    </div>
  );
}

/** Why something could not be shown, with a way to try again. */
export function ProblemNotice({ what, problem }: { what: string; problem: Error }) {
  return (
    <Notice tone="bad" title={what} role="alert">
      <p>
        <Sentence text={problem.message} />
      </p>
    </Notice>
  );
}
