/**
 * One action on a selection: what it would do is asked of the server and told before anything can be sent.
 *
 *   previewing ──► asking (reason, and the run's name where nothing takes it back) ──► sending ──► done
 *        └──► refused                    ▲                                                │
 *                                        └──────────────── it was refused ────────────────┘
 */
import { useState } from 'react';
import type { Action, Outcome } from '../../api/action.ts';
import type { RunSummary } from '../../api/run.ts';
import { Button } from '../components/button.tsx';
import { Dialog } from '../components/dialog.tsx';
import { Notice, ProblemNotice } from '../components/notice.tsx';
import { Sentence } from '../components/sentence.tsx';
import { api } from '../data/api.ts';
import { useResource } from '../data/use-resource.ts';
import { type DeedForm, readLocalMoment, whyNotYet, writeLocalMoment } from '../view/deed-form.ts';
import { ACTION_VERBS, type Offer, sayMeant, selectionMeant } from '../view/offers.ts';
import styles from './action-dialog.module.css';
import { Consequences } from './consequences.tsx';
import { ReasonField } from './reason-field.tsx';

/** While one thinks, machines go on: what it would do is asked again. */
const PREVIEW_EVERY_MS = 10_000;

export function ActionDialog({
  run,
  offer,
  onClose,
}: {
  run: RunSummary;
  offer: Offer;
  onClose: () => void;
}) {
  const [form, setForm] = useState<DeedForm>({ reason: '', typedName: '' });
  const [discardsLandingData, setDiscardsLandingData] = useState(false);
  const [closes, setCloses] = useState('');
  const [sending, setSending] = useState(false);
  const [failure, setFailure] = useState<Error | null>(null);
  const [outcome, setOutcome] = useState<Outcome | null>(null);
  const [isPressed, setIsPressed] = useState(false);
  const { action: name, on } = offer;
  const action: Action = { action: name, on, discardsLandingData, closesAt: readLocalMoment(closes) };
  const asked = outcome === null ? JSON.stringify(action) : null;
  const { value: preview, problem } = useResource(asked, (signal) => api.preview(run.id, action, signal), {
    everyMs: sending ? undefined : PREVIEW_EVERY_MS,
  });
  const missing = whyNotYet(form, { preview, run: run.id });

  const send = async (): Promise<void> => {
    setIsPressed(true);
    if (missing !== null || sending) return;
    setSending(true);
    setFailure(null);
    try {
      const meant = selectionMeant(action, preview);
      setOutcome(await api.act(run.id, { ...action, on: meant, reason: form.reason.trim() }));
    } catch (error) {
      setFailure(error instanceof Error ? error : new Error(String(error)));
    } finally {
      setSending(false);
    }
  };

  return (
    <Dialog
      isOpen
      title={sayMeant(offer, run.id)}
      onClose={onClose}
      footer={
        outcome === null ? (
          <>
            <Button onClick={onClose}>Leave it</Button>
            <Button
              type="submit"
              form="deed"
              look={preview?.isReversible === false ? 'danger' : 'main'}
              aria-disabled={missing !== null || sending}
              aria-describedby="deed-missing"
            >
              {sending ? 'Doing it …' : ACTION_VERBS[name]}
            </Button>
          </>
        ) : (
          <Button look="main" ref={takeFocus} onClick={onClose}>
            Close
          </Button>
        )
      }
    >
      {outcome !== null ? (
        <Notice tone="good" role="status" title="Done, and in the audit trail.">
          <p>
            <Sentence text={outcome.message} />
          </p>
        </Notice>
      ) : (
        <form
          id="deed"
          className={styles.form}
          noValidate
          onSubmit={(event) => {
            event.preventDefault();
            void send();
          }}
        >
          {problem !== null && (
            <ProblemNotice what="What it would do cannot be worked out now." problem={problem} />
          )}
          {preview === null && problem === null && <p role="status">Working out what it would do …</p>}
          {preview !== null && <Consequences preview={preview} />}
          {name === 'rollback' && (
            <label className={styles.check}>
              <input
                type="checkbox"
                checked={discardsLandingData}
                onChange={({ target }) => setDiscardsLandingData(target.checked)}
              />
              <span>Also machines that landed: what was written there since then is deleted</span>
            </label>
          )}
          {name === 'cutover' && <ClosesField run={run} value={closes} onChange={setCloses} />}
          {(preview === null || preview.refusal === null) && (
            <>
              {preview?.isReversible === false && (
                <label className={styles.field}>
                  <span>
                    Type <strong className={styles.name}>{run.id}</strong>: it cannot be taken back
                  </span>
                  <input
                    className={styles.input}
                    value={form.typedName}
                    autoComplete="off"
                    autoCapitalize="off"
                    spellCheck={false}
                    onChange={({ target }) => setForm({ ...form, typedName: target.value })}
                  />
                </label>
              )}
              <ReasonField value={form.reason} onChange={(reason) => setForm({ ...form, reason })} />
            </>
          )}
          <p id="deed-missing" role="status" className={styles.missing} data-pressed={isPressed}>
            {preview !== null && preview.refusal === null && missing !== null ? missing : ''}
          </p>
          {failure !== null && <ProblemNotice what="It was not done." problem={failure} />}
        </form>
      )}
    </Dialog>
  );
}

function ClosesField(props: { run: RunSummary; value: string; onChange: (value: string) => void }) {
  const { run, value, onChange } = props;
  const planned = run.window === null ? null : writeLocalMoment(run.window.closesAt).replace('T', ' ');
  return (
    <label className={styles.field}>
      <span>
        The window closes (your clock){planned !== null && <>; left empty: as planned, {planned}</>}
      </span>
      <input
        type="datetime-local"
        className={styles.input}
        value={value}
        onChange={({ target }) => onChange(target.value)}
      />
    </label>
  );
}

/** What had the focus is gone once it is done. */
function takeFocus(button: HTMLButtonElement | null): void {
  button?.focus();
}
