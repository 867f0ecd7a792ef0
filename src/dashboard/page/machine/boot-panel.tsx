/** Does the guest live: its screen, what it says, what was checked. */
import type { MachineDetail } from '../../api/machine.ts';
import { Moment } from '../components/moment.tsx';
import { Panel } from '../components/panel.tsx';
import { SignLabel } from '../status/sign-label.tsx';
import type { Sign } from '../status/words.ts';
import styles from './boot-panel.module.css';
import { ConsoleView } from './console-view.tsx';
import { Screenshot } from './screenshot.tsx';

type Proof = NonNullable<MachineDetail['proof']>;

export function BootPanel({ detail }: { detail: MachineDetail }) {
  const { run, line, proof, hasConsole, hasScreenshot, steps } = detail;
  const of = { run: run.id, machine: line.name };
  const isBooting = steps.some(({ stage, state }) => stage === 'validate' && state === 'active');
  return (
    <>
      <Panel title="The guest's screen" aside={isBooting && <span role="status">It boots now</span>}>
        {hasScreenshot ? (
          <Screenshot of={of} isLive={isBooting} />
        ) : (
          <p className={styles.none}>
            {isBooting
              ? 'It boots; no picture has come yet.'
              : 'There is no picture of it: it has not booted yet, or its target gives none.'}
          </p>
        )}
        {proof !== null && <ProofShown proof={proof} zone={run.timezone} />}
      </Panel>
      <Panel title="Console">
        {hasConsole ? (
          <ConsoleView of={of} isBooting={isBooting} key={`${of.run} ${of.machine}`} />
        ) : (
          <p className={styles.none}>It has said nothing yet.</p>
        )}
      </Panel>
    </>
  );
}

function ProofShown({ proof, zone }: { proof: Proof; zone: string | null }) {
  const { checks, provenAt, consoleLines } = proof;
  return (
    <div className={styles.proof}>
      <h3>
        Proof of <Moment at={provenAt} zone={zone} isShort />
      </h3>
      <ul className={styles.checks}>
        {checks.map(({ name, state, detail }) => (
          <li key={name}>
            <SignLabel sign={CHECK_SIGNS[state] ?? { word: state, tone: 'idle', shape: 'question' }} />
            <span>
              <strong>{name}</strong> {detail}
            </span>
          </li>
        ))}
      </ul>
      {consoleLines.length > 0 && (
        <>
          <h3>What its console said that proves it</h3>
          <pre className={styles.lines}>{consoleLines.join('\n')}</pre>
        </>
      )}
    </div>
  );
}

const CHECK_SIGNS: Readonly<Record<string, Sign>> = {
  ok: { word: 'passed', tone: 'good', shape: 'check' },
  pending: { word: 'to come', tone: 'idle', shape: 'clock' },
  failed: { word: 'failed', tone: 'bad', shape: 'cross' },
};
