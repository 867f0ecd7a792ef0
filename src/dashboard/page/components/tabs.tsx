import { Tabs as Radix } from 'radix-ui';
import type { ReactNode } from 'react';
import styles from './tabs.module.css';

export type Tab = { key: string; title: ReactNode; content: ReactNode };

/** Which one is shown is the caller's to keep, so that an address can name it. */
export function Tabs(props: {
  label: string;
  tabs: readonly Tab[];
  shown: string;
  onShow: (key: string) => void;
}) {
  const { label, tabs, shown, onShow } = props;
  return (
    <Radix.Root value={shown} onValueChange={onShow} className={styles.root}>
      <Radix.List aria-label={label} className={styles.list}>
        {tabs.map(({ key, title }) => (
          <Radix.Trigger key={key} value={key} className={styles.tab}>
            {title}
          </Radix.Trigger>
        ))}
      </Radix.List>
      {tabs.map(({ key, content }) => (
        <Radix.Content key={key} value={key} className={styles.content}>
          {content}
        </Radix.Content>
      ))}
    </Radix.Root>
  );
}
