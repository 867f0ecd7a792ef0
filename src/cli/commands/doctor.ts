import type { Command } from 'commander';
import { EXIT_FAILED } from '../../domain/errors.ts';
import type { Finding } from '../../domain/ports.ts';
import { readUpNote } from '../../home.ts';
import { examineHost } from '../../operations/doctor.ts';
import type { Plan } from '../../operations/plan.ts';
import type { CommandContext } from '../command-context.ts';
import { findingLines, linesOf } from '../findings.ts';
import { openWorkshopFor } from '../open-app.ts';
import { findOtherEnvironment } from '../other-environment.ts';
import { planFile } from './plan.ts';

type DoctorOptions = { verbose?: boolean; json?: boolean };

export function addDoctor(program: Command, context: CommandContext): void {
  program
    .command('doctor')
    .argument('[wave]', 'wave file: also checks its target (credentials, bucket, role) and its source')
    .description('check tools, versions, Redis, space, evidence and, with a wave, its target')
    .option('--verbose', 'list every check of the wave, also what is well')
    .option('--json', 'print one JSON document')
    .action(async (file: string | undefined, options: DoctorOptions) => {
      const { terminal, interrupted } = context;
      const config = context.config();
      await using workshop = await openWorkshopFor(context);
      const redisUrl = config.redisUrl ?? (await readUpNote(config.home))?.redisUrl ?? null;
      const findings = await examineHost({ ...workshop, redisUrl, signal: interrupted });
      const plan = file === undefined ? null : await planFile(context, workshop, file);
      const difference = await findOtherEnvironment(config, plan?.wave ?? null);
      if (difference !== null)
        findings.push({
          level: 'warn',
          subject: 'workers',
          message: difference.message,
          remedy: 'To use the new ones: `landfall down`, then start it again.',
        });
      const all = [...findings, ...(plan?.findings ?? [])];
      if (options.json === true) terminal.json(all);
      else for (const line of describeFindings(findings, plan, options.verbose === true)) terminal.out(line);
      if (all.some((finding) => finding.level === 'fail')) context.exitWith(EXIT_FAILED);
    });
}

/** Of the host each line is wanted, versions above all; of a wave as `plan` tells it. */
function describeFindings(host: readonly Finding[], plan: Plan | null, isVerbose: boolean): string[] {
  const lines = host.flatMap(linesOf);
  if (plan === null) return lines;
  const machines = plan.wave.machines.map(({ name }) => name);
  return [...lines, '', ...findingLines({ findings: plan.findings, machines, isVerbose })];
}
