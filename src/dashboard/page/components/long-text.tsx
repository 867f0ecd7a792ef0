import styles from './long-text.module.css';
import { Sentence } from './sentence.tsx';

/** What is told in many lines, as the end of a console is: its first one, and the rest on demand, as it stands. */
export function LongText({ text }: { text: string }) {
  const end = text.indexOf('\n');
  if (end === -1) return <Sentence text={text} />;
  const rest = text.slice(end + 1);
  return (
    <>
      <Sentence text={text.slice(0, end)} />
      <details className={styles.rest}>
        <summary>The rest of it ({rest.split('\n').length} lines)</summary>
        <pre>{rest}</pre>
      </details>
    </>
  );
}
