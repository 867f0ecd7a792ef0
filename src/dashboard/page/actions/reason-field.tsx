import { REASON_MAX_CHARS } from '../view/deed-form.ts';
import styles from './action-dialog.module.css';

/** Why it is done: whoever reads the audit trail in a year was not there. */
export function ReasonField({ value, onChange }: { value: string; onChange: (value: string) => void }) {
  return (
    <label className={styles.field}>
      <span>Reason, for the audit trail</span>
      <textarea
        className={styles.input}
        rows={2}
        required
        maxLength={REASON_MAX_CHARS}
        value={value}
        onChange={({ target }) => onChange(target.value)}
        onKeyDown={(event) => {
          if (event.key === 'Enter' && (event.ctrlKey || event.metaKey))
            event.currentTarget.form?.requestSubmit();
        }}
      />
    </label>
  );
}
