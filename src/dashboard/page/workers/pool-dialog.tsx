/** Pausing a pool, letting it go on, or saying how many steps it does at once: with what that means, and a reason. */
import { useState } from 'react';
import type { Outcome } from '../../api/action.ts';
import type { PoolAction } from '../../api/workers.ts';
import dialog from '../actions/action-dialog.module.css';
import { ReasonField } from '../actions/reason-field.tsx';
import { Button } from '../components/button.tsx';
import { Dialog } from '../components/dialog.tsx';
import { Notice, ProblemNotice } from '../components/notice.tsx';
import { api } from '../data/api.ts';
import { consequencesOf, nameOfPool, type Pool, readConcurrency } from '../view/pools.ts';

type Change = PoolAction['change'];

const VERBS: Readonly<Record<Change['kind'], string>> = {
  pause: 'Pause',
  resume: 'Resume',
  concurrency: 'Set steps at once of',
};

export function PoolDialog(props: {
  pool: Pool;
  kind: Change['kind'];
  onClose: () => void;
  onChanged: () => void;
}) {
  const { pool, kind, onClose, onChanged } = props;
  const [reason, setReason] = useState('');
  const [value, setValue] = useState(pool.concurrency === null ? '' : String(pool.concurrency));
  const [isSending, setIsSending] = useState(false);
  const [failure, setFailure] = useState<Error | null>(null);
  const [outcome, setOutcome] = useState<Outcome | null>(null);
  const isEmpty = value.trim() === '';
  const change: Change =
    kind === 'concurrency' ? { kind, value: isEmpty ? null : readConcurrency(value) } : { kind };
  const isWrong = kind === 'concurrency' && !isEmpty && readConcurrency(value) === null;
  const missing = isWrong
    ? 'A pool does 1 to 256 steps at once.'
    : reason.trim() === ''
      ? 'Say why: the reason goes into the audit trail.'
      : null;

  const send = async (): Promise<void> => {
    if (missing !== null || isSending) return;
    setIsSending(true);
    setFailure(null);
    try {
      setOutcome(await api.setPool({ pool: pool.pool, site: pool.site, reason: reason.trim(), change }));
      onChanged();
    } catch (error) {
      setFailure(error instanceof Error ? error : new Error(String(error)));
    } finally {
      setIsSending(false);
    }
  };

  return (
    <Dialog
      isOpen
      title={`${VERBS[kind]} pool ${nameOfPool(pool)}`}
      onClose={onClose}
      footer={
        outcome === null ? (
          <>
            <Button onClick={onClose}>Leave it</Button>
            <Button
              type="submit"
              form="pool-change"
              look="main"
              aria-disabled={missing !== null || isSending}
              aria-describedby="pool-missing"
            >
              {isSending ? 'Doing it …' : kind === 'concurrency' ? 'Set it' : VERBS[kind]}
            </Button>
          </>
        ) : (
          <Button look="main" ref={(button) => button?.focus()} onClick={onClose}>
            Close
          </Button>
        )
      }
    >
      {outcome !== null ? (
        <Notice tone="good" role="status" title="Done, and in the audit trail.">
          <p>{outcome.message}</p>
        </Notice>
      ) : (
        <form
          id="pool-change"
          className={dialog.form}
          noValidate
          onSubmit={(event) => {
            event.preventDefault();
            void send();
          }}
        >
          {kind === 'concurrency' && (
            <label className={dialog.field}>
              <span>Steps at once of each process (1 to 256); left empty: as it was started</span>
              <input
                className={dialog.input}
                inputMode="numeric"
                autoComplete="off"
                aria-invalid={isWrong}
                value={value}
                onChange={({ target }) => setValue(target.value)}
              />
            </label>
          )}
          {!isWrong && (
            <Notice tone="go" title="What happens">
              <ul className={dialog.consequences}>
                {consequencesOf(pool, change).map((sentence) => (
                  <li key={sentence}>{sentence}</li>
                ))}
              </ul>
            </Notice>
          )}
          <ReasonField value={reason} onChange={setReason} />
          <p id="pool-missing" role="status" className={dialog.missing}>
            {missing}
          </p>
          {failure !== null && <ProblemNotice what="It was not done." problem={failure} />}
        </form>
      )}
    </Dialog>
  );
}
