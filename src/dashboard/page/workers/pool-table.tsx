import { useState } from 'react';
import type { PoolAction } from '../../api/workers.ts';
import { GuardedButton } from '../actions/guarded-button.tsx';
import { Bar } from '../components/bar.tsx';
import { useSession } from '../data/session.tsx';
import { SignLabel } from '../status/sign-label.tsx';
import { nameOfPool, type Pool, signOfPool } from '../view/pools.ts';
import { PoolDialog } from './pool-dialog.tsx';
import styles from './workers-page.module.css';

type Kind = PoolAction['change']['kind'];

/** One row for each queue: what waits, what runs, how much could; and the means to change that. */
export function PoolTable({ pools, onChanged }: { pools: readonly Pool[]; onChanged: () => void }) {
  const [chosen, setChosen] = useState<{ name: string; kind: Kind } | null>(null);
  const changed = pools.find((pool) => nameOfPool(pool) === chosen?.name);
  return (
    <div className={styles.scroller}>
      <table className={styles.table}>
        <caption>Pools: what waits and what runs in each queue</caption>
        <thead>
          <tr>
            <th scope="col">Pool</th>
            <th scope="col">State</th>
            <th scope="col">Slots in use</th>
            <th scope="col">Waiting</th>
            <th scope="col">Later</th>
            <th scope="col">At once, each process</th>
            <th scope="col">
              <span className={styles.hidden}>Change</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {pools.map((pool) => (
            <PoolRow
              key={nameOfPool(pool)}
              pool={pool}
              onChoose={(kind) => setChosen({ name: nameOfPool(pool), kind })}
            />
          ))}
        </tbody>
      </table>
      {chosen !== null && changed !== undefined && (
        <PoolDialog pool={changed} kind={chosen.kind} onClose={() => setChosen(null)} onChanged={onChanged} />
      )}
    </div>
  );
}

function PoolRow({ pool, onChoose }: { pool: Pool; onChoose: (kind: Kind) => void }) {
  const { session, may } = useSession();
  const { site, active, slots, waiting, delayed, concurrency, isPaused } = pool;
  const name = nameOfPool(pool);
  const whyNot = may('operator')
    ? null
    : `This takes the role operator; you are ${session?.user?.role ?? 'not logged in'}.`;
  return (
    <tr>
      <th scope="row">
        {pool.pool} {site !== null && <small>at {site}</small>}
      </th>
      <td>
        <SignLabel sign={signOfPool(pool)} />
      </td>
      <td data-name="Slots in use">
        <span className={styles.use}>
          <Bar
            label={`${active} of ${slots} slots are in use`}
            parts={[{ share: slots === 0 ? 0 : active / slots, tone: 'go' }]}
          />
          <span>
            {active} of {slots}
          </span>
        </span>
      </td>
      <td data-name="Waiting">{waiting.toLocaleString('en')}</td>
      <td data-name="Later">{delayed.toLocaleString('en')}</td>
      <td data-name="At once, each process">
        {concurrency === null ? 'as started' : `${concurrency}, as an operator said`}
      </td>
      <td>
        <span className={styles.buttons}>
          <GuardedButton
            whyNot={whyNot}
            aria-haspopup="dialog"
            aria-label={`${isPaused ? 'Resume' : 'Pause'} pool ${name}`}
            onClick={() => onChoose(isPaused ? 'resume' : 'pause')}
          >
            {isPaused ? 'Resume' : 'Pause'}
          </GuardedButton>
          <GuardedButton
            whyNot={whyNot}
            aria-haspopup="dialog"
            aria-label={`Steps at once in pool ${name}`}
            onClick={() => onChoose('concurrency')}
          >
            Steps at once
          </GuardedButton>
        </span>
      </td>
    </tr>
  );
}
