import type { Command } from 'commander';
import { formatBytes } from '../../domain/byte-size.ts';
import { EXIT_FAILED, LandfallError } from '../../domain/errors.ts';
import type { Proof } from '../../domain/landing.ts';
import type { MachineRecord } from '../../domain/machine-record.ts';
import type { Evidence } from '../../domain/ports.ts';
import type { RunRecord } from '../../domain/run-record.ts';
import { findMachines, findRun } from '../../operations/find-run.ts';
import type { View } from '../../view.ts';
import type { CommandContext } from '../command-context.ts';
import { formatSpan } from '../format.ts';
import { openViewFor } from '../open-app.ts';
import type { Terminal } from '../terminal.ts';

export function addProof(program: Command, context: CommandContext): void {
  program
    .command('proof')
    .argument('<run>', 'run id or wave name')
    .argument('[machine]', 'only this machine')
    .description('show the evidence that landings work: console lines, screenshot, digests, times')
    .option('--json', 'print one JSON document')
    .action(async (idOrWave: string, machine: string | undefined, options: { json?: boolean }) => {
      await using view = await openViewFor(context);
      const run = await findRun(view.state, idOrWave);
      const proven = await showProofs(view, context.terminal, { run, machine, json: options.json === true });
      if (proven === 0) context.exitWith(EXIT_FAILED);
    });
}

/** Gives how many machines have a proof. */
export async function showProofs(
  view: View,
  terminal: Terminal,
  shown: { run: RunRecord; machine?: string | undefined; json: boolean },
): Promise<number> {
  const records = await findMachines(view.state, shown.run, shown.machine);
  const evidence = await view.openEvidence();
  const proofs = (await Promise.all(records.map((record) => readProof(evidence, record)))).filter(
    (proof) => proof !== null,
  );
  if (shown.json) terminal.json(proofs.map((proof) => located(evidence, proof)));
  else if (proofs.length === 0) for (const line of describeUnproven(records, shown)) terminal.out(line);
  else for (const proof of proofs) for (const line of describeProof(evidence, proof)) terminal.out(line);
  return proofs.length;
}

/** Of one machine that was asked for, where it stands; of a run, that there is none. */
function describeUnproven(
  records: readonly MachineRecord[],
  { run, machine }: { run: RunRecord; machine?: string | undefined },
): string[] {
  if (machine === undefined) return [`No machine of ${run.id} has a proof yet.`];
  return records.map(
    (record) => `${record.machine.name} of ${run.id} has no proof: ${describeStanding(record)}`,
  );
}

/** "it failed at validate (boot-failed): …" */
export function describeStanding({ status, steps, error }: MachineRecord): string {
  const failed = Object.values(steps).find(({ state }) => state === 'failed');
  const cause = error ?? failed?.error ?? null;
  if (status !== 'failed' || cause === null) return `it is ${status}.`;
  return `it failed${failed === undefined ? '' : ` at ${failed.stage}`} (${cause.code}): ${cause.message}`;
}

async function readProof(evidence: Evidence, record: MachineRecord): Promise<Proof | null> {
  if (record.proof === null) return null;
  const bytes = await evidence.get(record.proof);
  if (bytes === null) {
    throw new LandfallError({
      code: 'evidence-unavailable',
      message: `The proof of ${record.machine.name} is not at ${evidence.locate(record.proof)}. Is LANDFALL_EVIDENCE the same here as for the workers?`,
    });
  }
  return JSON.parse(new TextDecoder().decode(bytes)) as Proof;
}

/** With paths that can be opened from here. */
function located(evidence: Evidence, proof: Proof): Proof {
  const { consoleFile, screenshotFile } = proof;
  return {
    ...proof,
    consoleFile: evidence.locate(consoleFile),
    screenshotFile: screenshotFile === null ? null : evidence.locate(screenshotFile),
  };
}

function describeProof(evidence: Evidence, proof: Proof): string[] {
  const { consoleFile, screenshotFile } = located(evidence, proof);
  return [
    '',
    `${proof.machine} boots as ${proof.landing.id} (proven ${new Date(proof.provenAt).toISOString()})`,
    ...proof.consoleLines.map((line) => `  console     ${line}`),
    `  console in  ${consoleFile}`,
    `  screenshot  ${screenshotFile ?? 'none: the target gave no picture'}`,
    ...proof.checks.map(
      (check) =>
        `  check       ${check.name}: ${check.state}${check.detail === '' ? '' : ` (${check.detail})`}`,
    ),
    ...proof.disks.flatMap((disk) => [
      `  disk ${disk.disk}      ${formatBytes(disk.bytes)}, uploaded ${formatBytes(disk.uploadedBytes)}`,
      ...disk.digests.map(
        (digest) =>
          `              ${digest.algorithm} ${digest.value}${digest.isConfirmed ? ', confirmed by the target' : ''}`,
      ),
    ]),
    `  times       ${proof.stages.map((stage) => `${stage.step} ${formatSpan(stage.endedAt - stage.startedAt)}`).join(', ')}`,
  ];
}
