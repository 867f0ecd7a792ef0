import styles from './sign.module.css';
import { SignShape } from './sign-shape.tsx';
import type { Sign } from './words.ts';

/** A shape and its word; `isChip`: on a ground of its colour. */
export function SignLabel({
  sign,
  word = sign.word,
  isChip = false,
}: {
  sign: Sign;
  word?: string;
  isChip?: boolean;
}) {
  return (
    <span className={isChip ? styles.chip : styles.label} data-tone={sign.tone}>
      <SignShape shape={sign.shape} tone={sign.tone} />
      <span>{word}</span>
    </span>
  );
}
