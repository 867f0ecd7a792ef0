import type { Command } from 'commander';
import { BYTE_RATE_RULE, parseByteRate } from '../../domain/byte-rate.ts';
import { LandfallError } from '../../domain/errors.ts';
import { isEnded } from '../../domain/run-record.ts';
import { findRun } from '../../operations/find-run.ts';
import {
  type BandwidthLimit,
  describeLimit,
  type LimitInForce,
  limitHost,
  limitOfHost,
  limitOfRun,
  limitRun,
  workingHosts,
} from '../../operations/limit-bandwidth.ts';
import type { State } from '../../state/state.ts';
import type { CommandContext } from '../command-context.ts';
import { openAppFor } from '../open-app.ts';
import { operatorName } from '../operator-name.ts';
import type { Terminal } from '../terminal.ts';

type LimitOptions = { host?: string; reason?: string; json?: boolean };

/** What the words on the command line mean: with --host, the first is the rate. */
type Wanted = { run: string | null; host: string | null; rate: BandwidthLimit | null };

export function addLimit(program: Command, context: CommandContext): void {
  program
    .command('limit')
    .argument('[run]', 'run id or wave name; left out with --host')
    .argument('[rate]', '50MB/s, 30MiB/s, 400Mbit/s or none; without it, show what holds')
    .description('how fast a run may send, over all its workers, or with --host all workers of a host')
    .option('--host <host>', "a host's workers, for all runs, by the host's name")
    .option('--reason <text>', 'kept in the audit trail')
    .option('--json', 'print one JSON document')
    .action((first: string | undefined, second: string | undefined, options: LimitOptions) =>
      limit(context, { wanted: readWords(first, second, options), options }),
    );
}

async function limit(
  context: CommandContext,
  { wanted, options }: { wanted: Wanted; options: LimitOptions },
): Promise<void> {
  const { host, rate } = wanted;
  const reason = options.reason ?? null;
  await using app = await openAppFor(context);
  const { state } = app;
  const terminal = terminalFor(context, options);
  if (host !== null) {
    if (rate !== null) {
      await limitHost(state, { host, limit: rate, by: operatorName(), reason });
      await warnOfIdleHost(context, state, host);
    }
    return terminal.tell({ host }, `All workers of ${host}`, await limitOfHost(state, host));
  }
  const run = await findRun(state, wanted.run ?? '');
  if (rate !== null) {
    await limitRun(state, { run, limit: rate, by: operatorName(), reason });
    if (isEnded(run.status))
      context.terminal.remark(`Nothing is being sent: run ${run.id} is ${run.status}. A retry will heed it.`);
  }
  terminal.tell({ run: run.id }, `All workers of run ${run.id} together`, await limitOfRun(state, run));
}

/** Throws `usage`. */
function readWords(first: string | undefined, second: string | undefined, { host }: LimitOptions): Wanted {
  if (host === undefined && first !== undefined) return { run: first, host: null, rate: readRate(second) };
  if (host !== undefined && second === undefined) return { run: null, host, rate: readRate(first) };
  throw new LandfallError({
    code: 'usage',
    message:
      'Name a run (`landfall limit RUN 50MB/s`) or a host (`landfall limit --host HOST 50MB/s`), and not both.',
  });
}

function readRate(text: string | undefined): BandwidthLimit | null {
  if (text === undefined || text === 'none') return text ?? null;
  const bytesPerSecond = parseByteRate(text);
  if (bytesPerSecond !== null) return bytesPerSecond;
  throw new LandfallError({
    code: 'usage',
    message: `The rate ${JSON.stringify(text)} ${BYTE_RATE_RULE}, or none.`,
  });
}

/** A limit may be set before workers start; a name that was mistyped limits nobody. */
async function warnOfIdleHost({ terminal }: CommandContext, state: State, host: string): Promise<void> {
  const hosts = await workingHosts(state);
  if (hosts.includes(host)) return;
  const others = hosts.length === 0 ? 'no worker lives anywhere' : `workers live on ${hosts.join(', ')}`;
  terminal.remark(`No worker lives on ${host} now (${others}). The limit holds for those that start there.`);
}

function terminalFor({ terminal }: { terminal: Terminal }, { json }: LimitOptions) {
  return {
    tell(of: { run: string } | { host: string }, who: string, { limit, setBy }: LimitInForce): void {
      if (json === true) {
        terminal.json({ ...of, bytesPerSecond: limit === 'none' ? null : limit, setBy });
        return;
      }
      const by = setBy === 'wave' ? ', as the wave says' : '';
      terminal.out(limit === 'none' ? `${who}: no limit.` : `${who}: ${describeLimit(limit)}${by}.`);
    },
  };
}
