import type { MachineDetail } from '../../api/machine.ts';
import { CopyLine } from '../components/copy-line.tsx';
import { LongText } from '../components/long-text.tsx';
import { Notice } from '../components/notice.tsx';
import { Sentence } from '../components/sentence.tsx';
import styles from './trouble-notice.module.css';

/** Why it failed, word for word, also where that is over; and the commands that lead on. */
export function TroubleNotice({ detail, line }: { detail: MachineDetail; line: MachineDetail['line'] }) {
  const { remedies } = detail;
  const { error, isTroubled, note } = line;
  const says = note === line.landing ? '' : note;
  const commands = remedies.length > 0 && <Commands remedies={remedies} isOpen={isTroubled} />;
  if (error !== null) {
    const [head = ''] = error.message.split('\n');
    const saysMore = says !== '' && !says.includes(head) && !head.includes(says);
    return (
      <Notice
        tone={isTroubled ? 'bad' : 'back'}
        title={`${error.code}${error.retryable ? ', may pass if tried again' : ''}`}
      >
        <div className={styles.message}>
          <LongText text={error.message} />
        </div>
        {saysMore && (
          <p>
            <Sentence text={says} />
          </p>
        )}
        {commands}
      </Notice>
    );
  }
  if (says === '' && remedies.length === 0) return null;
  return (
    <div className={styles.quiet}>
      {says !== '' && (
        <p>
          <Sentence text={says} />
        </p>
      )}
      {commands}
    </div>
  );
}

function Commands({ remedies, isOpen }: { remedies: readonly string[]; isOpen: boolean }) {
  return (
    <details className={styles.commands} open={isOpen}>
      <summary>{isOpen ? 'What leads on, at the command line' : 'At the command line'}</summary>
      <ul>
        {remedies.map((command) => (
          <li key={command}>
            <CopyLine text={command} what={command} />
          </li>
        ))}
      </ul>
    </details>
  );
}
