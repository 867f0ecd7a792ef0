import { Moment } from '../components/moment.tsx';
import { Notice } from '../components/notice.tsx';
import { Panel } from '../components/panel.tsx';
import { Scroller } from '../components/scroller.tsx';
import { SignLabel } from '../status/sign-label.tsx';
import { formatCost, type LedgerEntry, sayLeftovers } from '../view/leftovers.ts';
import styles from './ledger-panel.module.css';

/** What was done to the outside world for this machine, and what of it stands although it did not land. */
export function LedgerPanel({ ledger, zone }: { ledger: readonly LedgerEntry[]; zone: string | null }) {
  const leftovers = sayLeftovers(ledger);
  return (
    <Panel title="Ledger">
      {leftovers !== null && (
        <div className={styles.leftovers}>
          <Notice tone="warn" title={leftovers}>
            <p>A retry may use them. Cleaning up the run deletes them.</p>
          </Notice>
        </div>
      )}
      {ledger.length === 0 ? (
        <p className={styles.none}>Nothing was made for it yet.</p>
      ) : (
        <Scroller className={styles.scroller} label="Ledger; it scrolls">
          <table className={styles.table}>
            <caption className={styles.caption}>Side effects on the outside world, newest first</caption>
            <thead>
              <tr>
                <th scope="col">What for</th>
                <th scope="col">State</th>
                <th scope="col">Made</th>
                <th scope="col">US$ a month</th>
                <th scope="col">When</th>
              </tr>
            </thead>
            <tbody>
              {ledger.map((entry) => (
                <EntryRow key={`${entry.thing} ${entry.generation}`} entry={entry} zone={zone} />
              ))}
            </tbody>
          </table>
        </Scroller>
      )}
    </Panel>
  );
}

function EntryRow({ entry, zone }: { entry: LedgerEntry; zone: string | null }) {
  const { thing, generation, state, made, isLeftover, costPerMonth, at } = entry;
  return (
    <tr>
      <th scope="row">
        {thing}
        {generation > 1 && <small> ({generation})</small>}
      </th>
      <td>
        {state}
        {isLeftover && (
          <span className={styles.left}>
            <SignLabel sign={{ word: 'left over', tone: 'warn', shape: 'alert' }} />
          </span>
        )}
      </td>
      <td>
        {made.length === 0 ? (
          '–'
        ) : (
          <ul>
            {made.map(({ kind, id }) => (
              <li key={`${kind} ${id}`}>
                {kind} {id !== null && <code>{id}</code>}
              </li>
            ))}
          </ul>
        )}
      </td>
      <td>{costPerMonth === null ? '–' : formatCost(costPerMonth)}</td>
      <td>{at === null ? '–' : <Moment at={at} zone={zone} isShort />}</td>
    </tr>
  );
}
