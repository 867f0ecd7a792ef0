import type { Preview } from '../../api/action.ts';
import { Notice } from '../components/notice.tsx';
import { Sentence } from '../components/sentence.tsx';
import { count } from '../view/sizes.ts';
import styles from './action-dialog.module.css';

const MOST_NAMED = 200;

/** What would happen, the heaviest first; and the machines that it would happen to. */
export function Consequences({ preview }: { preview: Preview }) {
  const { consequences, machines, refusal, isReversible } = preview;
  if (refusal !== null) {
    return (
      <Notice tone="warn" role="alert" title="This cannot be done now.">
        <p>
          <Sentence text={refusal} />
        </p>
      </Notice>
    );
  }
  return (
    <>
      <Notice
        tone={isReversible ? 'go' : 'bad'}
        shape={isReversible ? 'play' : 'alert'}
        title={isReversible ? 'What happens' : 'What happens, and cannot be taken back'}
      >
        <ul className={styles.consequences}>
          {consequences.map((sentence) => (
            <li key={sentence}>
              <Sentence text={sentence} />
            </li>
          ))}
        </ul>
      </Notice>
      {machines.length > 0 && (
        <details className={styles.machines}>
          <summary>{count(machines.length, 'machine')} would change</summary>
          <ul>
            {machines.slice(0, MOST_NAMED).map((name) => (
              <li key={name}>{name}</li>
            ))}
            {machines.length > MOST_NAMED && (
              <li>and {count(machines.length - MOST_NAMED, 'more machine')}</li>
            )}
          </ul>
        </details>
      )}
    </>
  );
}
