import type { Command } from 'commander';
import { EXIT_FAILED } from '../../domain/errors.ts';
import { readUpNote } from '../../home.ts';
import { examineHost } from '../../operations/doctor.ts';
import type { CommandContext } from '../command-context.ts';
import { findingLines } from '../findings.ts';
import { openWorkshopFor } from '../open-app.ts';
import { findOtherEnvironment } from '../other-environment.ts';
import { planFile } from './plan.ts';

export function addDoctor(program: Command, context: CommandContext): void {
  program
    .command('doctor')
    .argument('[wave]', 'wave file: also checks its target (credentials, bucket, role) and its source')
    .description('check tools, versions, Redis, space, evidence and, with a wave, its target')
    .option('--json', 'print one JSON document')
    .action(async (file: string | undefined, options: { json?: boolean }) => {
      const { terminal, interrupted } = context;
      const config = context.config();
      await using workshop = await openWorkshopFor(context);
      const redisUrl = config.redisUrl ?? (await readUpNote(config.home))?.redisUrl ?? null;
      const findings = await examineHost({ ...workshop, redisUrl, signal: interrupted });
      const plan = file === undefined ? null : await planFile(workshop, file, interrupted);
      const difference = await findOtherEnvironment(config, plan?.wave ?? null);
      if (difference !== null)
        findings.push({
          level: 'warn',
          subject: 'workers',
          message: difference.message,
          remedy: 'To use the new ones: `landfall down`, then start it again.',
        });
      findings.push(...(plan?.findings ?? []));
      if (options.json === true) terminal.json(findings);
      else for (const line of findingLines(findings)) terminal.out(line);
      if (findings.some((finding) => finding.level === 'fail')) context.exitWith(EXIT_FAILED);
    });
}
