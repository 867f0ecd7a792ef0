/** Findings of pre-flight and doctor as lines: sign and word, so that colour is never the only sign. */
import pc from 'picocolors';
import type { Finding } from '../domain/ports.ts';

export function findingLines(findings: readonly Finding[]): string[] {
  return findings.flatMap(({ level, subject, message, remedy }) => {
    const line = `${sign(level)} ${subject}: ${message}`;
    return remedy === null ? [line] : [line, `        ${remedy}`];
  });
}

function sign(level: Finding['level']): string {
  switch (level) {
    case 'ok':
      return pc.green('✔ ok  ');
    case 'warn':
      return pc.yellow('! warn');
    case 'fail':
      return pc.red('✖ fail');
  }
}
