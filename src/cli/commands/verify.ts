import type { Command } from 'commander';
import { formatBytes } from '../../domain/byte-size.ts';
import { EXIT_FAILED } from '../../domain/errors.ts';
import { generalize, listSome } from '../../domain/merge-findings.ts';
import { findMachines, findRun } from '../../operations/find-run.ts';
import { type DiskVerdict, type Verification, verifyMachines } from '../../operations/verify.ts';
import type { CommandContext } from '../command-context.ts';
import { openAppFor } from '../open-app.ts';

type VerifyOptions = { json?: boolean };

export function addVerify(program: Command, context: CommandContext): void {
  program
    .command('verify')
    .argument('<run>', 'run id or wave name')
    .argument('[machine]', 'only this machine')
    .description('read landed disks back from the target and compare every block with what was uploaded')
    .option('--json', 'print one JSON document')
    .action((idOrWave: string, machine: string | undefined, options: VerifyOptions) =>
      verify(context, { idOrWave, machine, isJson: options.json === true }),
    );
}

async function verify(
  context: CommandContext,
  asked: { idOrWave: string; machine: string | undefined; isJson: boolean },
): Promise<void> {
  const { terminal, interrupted } = context;
  await using app = await openAppFor(context);
  const run = await findRun(app.state, asked.idOrWave);
  const records = await findMachines(app.state, run, asked.machine);
  const verdicts: DiskVerdict[] = [];
  const describe = describeVerdicts();
  const verifying = verifyMachines({
    records,
    target: app.openTarget(run.wave),
    evidence: app.evidence,
    onProgress: asked.isJson ? () => {} : sayProgress(context),
    signal: interrupted,
  });
  for await (const verdict of verifying) {
    verdicts.push(verdict);
    if (!asked.isJson) for (const line of describe.one(verdict)) terminal.out(line);
  }
  for (const line of asked.isJson ? [] : describe.repeated()) terminal.out(line);
  if (asked.isJson) terminal.json(verdicts);
  if (verdicts.some(({ state }) => state !== 'same')) context.exitWith(EXIT_FAILED);
}

const SAY_EVERY_MS = 5_000;

function sayProgress({ terminal }: CommandContext): Verification['onProgress'] {
  let saidMs = performance.now();
  return ({ machine, disk, comparedBytes }) => {
    if (performance.now() - saidMs < SAY_EVERY_MS) return;
    saidMs = performance.now();
    terminal.remark(`${machine} disk ${disk}: ${formatBytes(comparedBytes)} compared so far`);
  };
}

/** Why disks were not compared is told once for each cause, and at the end of how many more it holds. */
export function describeVerdicts(): {
  one(verdict: DiskVerdict): string[];
  repeated(): string[];
} {
  const causes = new Map<string, { first: string; more: string[] }>();
  return {
    one(verdict) {
      const what = `${verdict.machine} disk ${verdict.disk}`;
      if (verdict.state !== 'failed' && verdict.state !== 'not-comparable') return describeVerdict(verdict);
      const said = verdict.state === 'failed' ? verdict.error.message : verdict.reason;
      const cause = generalize(said, verdict.machine).replaceAll(`disk ${verdict.disk}`, 'disk');
      const known = causes.get(cause);
      if (known === undefined) {
        causes.set(cause, { first: what, more: [] });
        return describeVerdict(verdict);
      }
      known.more.push(what);
      return [];
    },
    repeated: () =>
      [...causes.values()].flatMap(({ first, more }) =>
        more.length === 0 ? [] : [`${listSome(more)}: not compared, for the reason told of ${first}`],
      ),
  };
}

function describeVerdict(verdict: DiskVerdict): string[] {
  const what = `${verdict.machine} disk ${verdict.disk}`;
  switch (verdict.state) {
    case 'same':
      return [`${what}: the same, ${formatBytes(verdict.comparedBytes)} read back and compared`];
    case 'differs': {
      const { differingBlocks, comparedBytes, differingOffsets } = verdict;
      const more = differingBlocks - differingOffsets.length;
      return [
        `${what}: DIFFERS in ${differingBlocks} ${differingBlocks === 1 ? 'block' : 'blocks'} of 512 KiB (${formatBytes(comparedBytes)} compared), at the offsets in bytes`,
        ...differingOffsets.map((offset) => `  ${offset} (${formatBytes(offset)})`),
        ...(more > 0 ? [`  and ${more} more`] : []),
      ];
    }
    case 'not-comparable':
      return [`${what}: not compared, ${verdict.reason}`];
    case 'failed': {
      // What may pass by itself is tried again in a run; here nobody does.
      const again = verdict.error.retryable
        ? ' Nothing was tried again here: run `landfall verify` once more.'
        : '';
      return [`${what}: not compared. ${verdict.error.message}${again}`];
    }
    default:
      return verdict satisfies never;
  }
}
