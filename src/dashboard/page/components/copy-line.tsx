/** A line to be typed elsewhere, with a button that puts it on the clipboard. */
import { useEffect, useRef, useState } from 'react';
import { Button } from './button.tsx';
import styles from './copy-line.module.css';

const SAID_MS = 2000;

export function CopyLine({ text, what }: { text: string; what: string }) {
  const [said, setSaid] = useState('');
  const line = useRef<HTMLElement>(null);
  useEffect(() => {
    if (said === '') return;
    const timer = setTimeout(() => setSaid(''), SAID_MS);
    return () => clearTimeout(timer);
  }, [said]);
  const copy = async (): Promise<void> => {
    try {
      // Only where the page came over TLS or from this machine: elsewhere there is no clipboard.
      await navigator.clipboard.writeText(text);
      setSaid('Copied');
    } catch {
      if (line.current !== null) getSelection()?.selectAllChildren(line.current);
      setSaid('Selected');
    }
  };
  return (
    <span className={styles.line}>
      <code ref={line} className={styles.text}>
        {text}
      </code>
      <Button look="quiet" aria-label={`Copy ${what}`} onClick={() => void copy()}>
        {said === '' ? 'Copy' : said}
      </Button>
      <span role="status" className={styles.hidden}>
        {said}
      </span>
    </span>
  );
}
