import type { MachineLine, RunSummary } from '../../api/run.ts';
import { ActionBar } from '../actions/action-bar.tsx';
import { Button } from '../components/button.tsx';
import { count } from '../view/sizes.ts';
import styles from './selection-bar.module.css';

/** What is selected and what can be done to it; it stays in view while the list scrolls. */
export function SelectionBar(props: {
  run: RunSummary;
  machines: readonly MachineLine[];
  rows: readonly MachineLine[];
  selected: ReadonlySet<string>;
  onClear: () => void;
}) {
  const { run, machines, rows, selected, onClear } = props;
  if (selected.size === 0) return null;
  const chosen = machines.filter(({ name }) => selected.has(name));
  const unseen = chosen.length - rows.filter(({ name }) => selected.has(name)).length;
  return (
    <section className={styles.bar} aria-label="Selection">
      <p role="status">
        <strong>{count(chosen.length, 'machine')} selected</strong>
        {unseen > 0 && `, ${unseen} of them not listed now`}
      </p>
      <div className={styles.actions}>
        <ActionBar
          run={run}
          on={{ kind: 'machines', names: chosen.map(({ name }) => name) }}
          machines={chosen}
        />
        <Button look="quiet" onClick={onClear}>
          Clear the selection
        </Button>
      </div>
    </section>
  );
}
