import { type InputHTMLAttributes, useId } from 'react';
import styles from './field.module.css';

type Props = Omit<InputHTMLAttributes<HTMLInputElement>, 'className' | 'onChange' | 'id' | 'value'> & {
  label: string;
  value: string;
  onChange: (value: string) => void;
  isLabelHidden?: boolean;
};

export function TextField({ label, value, onChange, isLabelHidden = false, ...rest }: Props) {
  const id = useId();
  return (
    <div className={styles.field}>
      <label htmlFor={id} className={isLabelHidden ? styles.hidden : styles.label}>
        {label}
      </label>
      <input
        autoComplete="off"
        spellCheck={false}
        {...rest}
        id={id}
        className={styles.input}
        value={value}
        onChange={({ target }) => onChange(target.value)}
      />
    </div>
  );
}
