/** All that is known of one machine of a run. */
import type { App } from '../app.ts';
import { LandfallError } from '../domain/errors.ts';
import { stepKey } from '../domain/job.ts';
import type { Proof } from '../domain/landing.ts';
import type { MachineRecord, Step } from '../domain/machine-record.ts';
import type { LedgerEntry } from '../domain/ports.ts';
import type { RunRecord } from '../domain/run-record.ts';
import { listKept, readKeptProof } from '../operations/kept-evidence.ts';
import { listMade } from '../operations/made-things.ts';
import { priceMade } from '../operations/price-made.ts';
import { readLedger } from '../state/ledger.ts';
import type { StepProgress } from '../state/progress-board.ts';
import type { MachineDetail } from './api/machine.ts';
import { showMachine } from './board/machine-line.ts';
import { showError } from './board/saved-error.ts';
import { showLedger } from './ledger-lines.ts';
import { remediesFor } from './remedies.ts';

export type MachineDeps = Pick<App, 'state' | 'evidence' | 'openTarget' | 'resolve'>;

/** Throws `not-found`. */
export async function readMachine(
  { state }: Pick<MachineDeps, 'state'>,
  { run, machine }: { run: RunRecord; machine: string },
): Promise<MachineRecord> {
  const record = run.machines.includes(machine) ? await state.machines.get(run.id, machine) : null;
  if (record !== null) return record;
  throw new LandfallError({
    code: 'not-found',
    message: `Run ${run.id} has no machine ${machine.slice(0, 100)}. Its page lists its machines.`,
  });
}

export async function readMachineDetail(
  deps: MachineDeps,
  of: { run: RunRecord; machine: string },
): Promise<MachineDetail> {
  const { state, evidence } = deps;
  const { run } = of;
  const record = await readMachine(deps, of);
  const steps = Object.values(record.steps);
  const named = steps.map((step) => ({ machine: of.machine, step: stepKey(step) }));
  const [now, progress, entries, live, kept, proof] = await Promise.all([
    state.clock.now(),
    state.progress.readSteps(run.id, named),
    readLedger(state.redis, { run: run.id, machine: of.machine }),
    state.consoles.read({ run: run.id, machine: of.machine }),
    listKept(evidence, record),
    readKeptProof(evidence, record),
  ]);
  const { machine, landing } = record;
  return {
    now,
    run: {
      id: run.id,
      wave: run.wave.name,
      status: run.status,
      timezone: run.wave.window?.timezone ?? null,
    },
    line: showMachine(record, { progress, now }),
    hardware: {
      identity: machine.identity,
      firmware: machine.firmware,
      cpus: machine.cpus,
      memoryBytes: machine.memoryBytes,
      os: machine.os,
      host: machine.host ?? null,
    },
    hold: record.hold,
    steps: steps.map(showStep),
    disks: showDisks(record, progress),
    landing:
      landing === null ? null : { kind: landing.kind, id: landing.id, address: landing.address ?? null },
    proof: proof === null ? null : showProof(proof),
    hasConsole: (live !== null && live.landing === landing?.id) || kept.hasConsole,
    hasScreenshot: kept.hasScreenshot,
    ledger: showLedger(record, entries, pricing(deps, of.run, record)),
    remedies: remediesFor(record),
  };
}

function showStep(step: Step): MachineDetail['steps'][number] {
  const { stage, disk, pass, state, failures, notBefore, startedAt, endedAt, error } = step;
  const shown = { key: stepKey(step), stage, disk, pass, state, try: step.try, failures, notBefore };
  return { ...shown, startedAt, endedAt, error: error === null ? null : showError(error) };
}

function showDisks(
  { machine, prepared, artifacts }: MachineRecord,
  progress: readonly StepProgress[],
): MachineDetail['disks'] {
  return machine.disks.map(({ id, bytes }) => {
    const upload = progress.find(({ step }) => step === stepKey({ stage: 'upload', disk: id, pass: 0 }));
    const dataBytes = prepared[id]?.dataBytes ?? upload?.totalBytes ?? null;
    const artifact = artifacts[id];
    return {
      id,
      bytes,
      dataBytes,
      doneBytes: artifact === undefined ? (upload?.doneBytes ?? 0) : (dataBytes ?? artifact.bytes),
      artifact:
        artifact === undefined
          ? null
          : { kind: artifact.kind, bytes: artifact.bytes, ref: nameMade(artifact.ref) },
      digests: (artifact?.digests ?? []).map(({ algorithm, value, isConfirmed }) => ({
        algorithm,
        value,
        isConfirmed,
      })),
    };
  });
}

function nameMade(ref: MachineRecord['artifacts'][string]['ref']): string {
  const ids = listMade({ thing: 'upload', ref }).flatMap(({ id }) => id ?? []);
  return ids.length > 0 ? ids.join(', ') : JSON.stringify(ref);
}

function showProof(proof: Proof): NonNullable<MachineDetail['proof']> {
  const { provenAt, consoleLines, checks, screenshotFile } = proof;
  return {
    provenAt,
    consoleLines: [...consoleLines],
    checks: checks.map(({ name, state, detail }) => ({ name, state, detail })),
    hasScreenshot: screenshotFile !== null,
  };
}

/** A target that cannot be opened here, for want of a variable that only workers have, has no prices. */
function pricing(
  { openTarget, resolve }: MachineDeps,
  { wave }: RunRecord,
  record: MachineRecord,
): (entry: LedgerEntry) => number | null {
  try {
    const target = openTarget(wave);
    const resolved = { ...record, plan: resolve(record.plan) };
    return (entry) => priceMade(target, resolved, entry);
  } catch {
    return () => null;
  }
}
