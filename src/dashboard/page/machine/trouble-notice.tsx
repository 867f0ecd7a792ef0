import type { MachineDetail } from '../../api/machine.ts';
import { CopyLine } from '../components/copy-line.tsx';
import { Notice } from '../components/notice.tsx';
import { Sentence } from '../components/sentence.tsx';
import styles from './trouble-notice.module.css';

/** Why it failed, word for word, and the commands that lead on. */
export function TroubleNotice({ detail, line }: { detail: MachineDetail; line: MachineDetail['line'] }) {
  const { remedies } = detail;
  const { error, isTroubled, note } = line;
  const isBad = error !== null && isTroubled;
  if (!isBad && (note === '' || note === line.landing) && remedies.length === 0) return null;
  const commands = remedies.length > 0 && <Commands remedies={remedies} isOpen={isBad} />;
  if (!isBad) {
    return (
      <div className={styles.quiet}>
        {note !== '' && note !== line.landing && (
          <p>
            <Sentence text={note} />
          </p>
        )}
        {commands}
      </div>
    );
  }
  return (
    <Notice tone="bad" title={`${error.code}${error.retryable ? ', may pass if tried again' : ''}`}>
      <p className={styles.message}>
        <Sentence text={error.message} />
      </p>
      {note !== '' && !note.includes(error.message) && !error.message.includes(note) && (
        <p>
          <Sentence text={note} />
        </p>
      )}
      {commands}
    </Notice>
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
