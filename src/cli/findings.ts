/** Findings of pre-flight and doctor as lines: sign and word, so that colour is never the only sign. */
import pc from 'picocolors';
import { mergeFindings } from '../domain/merge-findings.ts';
import type { Finding } from '../domain/ports.ts';

export type ShownFindings = {
  findings: readonly Finding[];
  /** What is found of several of them is told once. */
  machines: readonly string[];
  /** Each finding by itself, and what is well too. */
  isVerbose: boolean;
};

/** The graver the nearer to the prompt; what is well is counted. */
export function findingLines({ findings, machines, isVerbose }: ShownFindings): string[] {
  const told = isVerbose ? findings : mergeFindings(findings, machines);
  const of = (level: Finding['level']): string[] =>
    told.filter((each) => each.level === level).flatMap(linesOf);
  return [...(isVerbose ? of('ok') : countPassed(findings)), ...of('warn'), ...of('fail')];
}

export function linesOf({ level, subject, message, remedy }: Finding): string[] {
  const line = `${sign(level)} ${subject}: ${message}`;
  return remedy === null ? [line] : [line, `        ${remedy}`];
}

function countPassed(findings: readonly Finding[]): string[] {
  const { length } = findings.filter(({ level }) => level === 'ok');
  if (length === 0) return [];
  return [`${sign('ok')} ${length === 1 ? '1 check' : `${length} checks`} passed (--verbose lists them)`];
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
