import type { ButtonHTMLAttributes, Ref } from 'react';
import styles from './button.module.css';

type Props = Omit<ButtonHTMLAttributes<HTMLButtonElement>, 'className'> & {
  /** `main`: what the page is for; `danger`: what cannot be taken back; `quiet`: without a frame. */
  look?: 'plain' | 'main' | 'danger' | 'quiet';
  ref?: Ref<HTMLButtonElement>;
};

export function Button({ look = 'plain', type = 'button', ...rest }: Props) {
  return <button {...rest} type={type} className={styles.button} data-look={look} />;
}
