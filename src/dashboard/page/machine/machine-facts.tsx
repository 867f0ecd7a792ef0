import type { ReactNode } from 'react';
import type { MachineDetail } from '../../api/machine.ts';
import { Bar } from '../components/bar.tsx';
import { Facts } from '../components/facts.tsx';
import { Moment } from '../components/moment.tsx';
import { Panel } from '../components/panel.tsx';
import { useNow } from '../data/clock.ts';
import { count, formatBytes, formatDuration, formatRate, percentOf } from '../view/sizes.ts';
import styles from './machine-page.module.css';

/** What it is, how far it is, where it landed. */
export function MachineFacts({ detail, line }: { detail: MachineDetail; line: MachineDetail['line'] }) {
  const now = useNow();
  const { hardware, landing, proof, run } = detail;
  const { doneBytes, totalBytes, zeroBytes, bytesPerSecond, etaMs, startedAt, endedAt, committedAt } = line;
  const percent = percentOf(doneBytes, totalBytes);
  const zone = run.timezone;
  const facts: [string, ReactNode][] = [];
  if (totalBytes > 0)
    facts.push(['Moved', `${formatBytes(doneBytes)} of ${formatBytes(totalBytes)} (${percent} %)`]);
  if (zeroBytes > 0) facts.push(['Zeros not sent', formatBytes(zeroBytes)]);
  if (bytesPerSecond > 0) facts.push(['Rate', formatRate(bytesPerSecond)]);
  if (etaMs !== null) facts.push(['Left to move', formatDuration(etaMs)]);
  if (startedAt !== null) {
    facts.push(['Began', <Moment key="began" at={startedAt} zone={zone} />]);
    facts.push(['Takes', formatDuration((endedAt ?? now) - startedAt)]);
  }
  if (landing !== null) facts.push([`Landing (${landing.kind})`, <code key="id">{landing.id}</code>]);
  if (landing !== null && landing.address !== null)
    facts.push(['Address', <code key="at">{landing.address}</code>]);
  if (proof !== null) facts.push(['Proven', <Moment key="proven" at={proof.provenAt} zone={zone} />]);
  if (committedAt !== null)
    facts.push(['Committed', <Moment key="committed" at={committedAt} zone={zone} />]);
  if (line.group !== null) facts.push(['Group', line.group]);
  if (line.after.length > 0) facts.push(['Comes after', line.after.join(', ')]);
  const { cpus, memoryBytes, firmware, os, host, identity } = hardware;
  facts.push(['Hardware', `${count(cpus, 'CPU')}, ${formatBytes(memoryBytes)}, ${firmware}`]);
  facts.push(['System', os ?? 'not known']);
  if (host !== null) facts.push(['Host', host]);
  facts.push(['Identity', <code key="identity">{identity}</code>]);
  return (
    <Panel title="Where it stands">
      <div className={styles.facts}>
        <Facts facts={facts} />
        {totalBytes > 0 && (
          <Bar
            label={`${percent} percent of the bytes are moved`}
            parts={[{ share: doneBytes / totalBytes, tone: line.isTroubled ? 'bad' : 'go' }]}
          />
        )}
      </div>
    </Panel>
  );
}
