/**
 * Findings of one cause over many machines as one: a wave of four hundred machines that share a fault is told of it once.
 * Two are of one cause when they say the same, up to the machine's name; many also when they differ in numbers only.
 */
import type { Finding } from './ports.ts';

/** Up to this many that differ in numbers are told one by one: each number is worth its line. */
const MAX_ALIKE = 5;
const NAMES = 3;
/** Stands for a machine's name where several are meant. */
const ANY = 'MACHINE';

type Part = { finding: Finding; machine: string; exact: string };

/** In the order of each cause's first finding. What is of no machine stays as it is. */
export function mergeFindings(findings: readonly Finding[], machines: readonly string[]): Finding[] {
  const names = new Set(machines);
  const causes = new Map<string, Part[]>();
  for (const [index, finding] of findings.entries()) {
    const machine = machineOf(finding.subject, names);
    const exact = machine === null ? '' : wordsOf(finding, machine);
    const key = machine === null ? `${index}` : exact.replace(/\d+(?:[.,]\d+)*/g, '#');
    const parts = causes.get(key) ?? [];
    parts.push({ finding, machine: machine ?? '', exact });
    causes.set(key, parts);
  }
  return [...causes.values()].flatMap(mergeCause);
}

function mergeCause(parts: readonly Part[]): Finding[] {
  const same = Map.groupBy(parts, ({ exact }) => exact);
  if (same.size > MAX_ALIKE) return [mergeAlike(parts)];
  return [...same.values()].map(mergeSame);
}

function mergeSame(parts: readonly Part[]): Finding {
  const [first] = parts as [Part];
  if (parts.length === 1) return first.finding;
  const { finding, machine } = first;
  const { level, subject, message, remedy } = finding;
  // "web01: subnet-1" and "web01 disk 0" go on after the name.
  const rest = generalize(subject.slice(machine.length), machine);
  const machines = [...new Set(parts.map((part) => part.machine))];
  return {
    level,
    subject: `${listSome(machines)}${rest.startsWith(' ') ? ',' : ''}${rest}`,
    message: generalize(message, machine),
    remedy: remedy === null ? null : generalize(remedy, machine),
  };
}

function mergeAlike(parts: readonly Part[]): Finding {
  const [{ finding }] = parts as [Part];
  const subjects = [...new Set(parts.map((part) => part.finding.subject))];
  const isSaidOfAll = parts.every((part) => part.finding.message === finding.message);
  const message = isSaidOfAll ? finding.message : `for example, ${finding.message}`;
  return { ...finding, subject: listSome(subjects), message };
}

/** "a, b", "a, b, c and 397 more (400)". */
export function listSome(names: readonly string[]): string {
  if (names.length <= NAMES + 1) return names.join(', ');
  return `${names.slice(0, NAMES).join(', ')} and ${names.length - NAMES} more (${names.length})`;
}

function wordsOf({ level, subject, message, remedy }: Finding, machine: string): string {
  const rest = subject.slice(machine.length);
  return JSON.stringify([level, ...[rest, message, remedy ?? ''].map((text) => generalize(text, machine))]);
}

/** Subjects of machines begin with the name, and then end, or go on with a colon or a space. */
function machineOf(subject: string, names: ReadonlySet<string>): string | null {
  for (const end of [subject.length, ...ends(subject)]) {
    const name = subject.slice(0, end);
    if (names.has(name)) return name;
  }
  return null;
}

/** Longest first. */
function ends(subject: string): number[] {
  return [...subject.matchAll(/[: ]/g)].map(({ index }) => index).reverse();
}

/** Without the machine's name, where it stands as a word. */
export function generalize(text: string, machine: string): string {
  const name = machine.replace(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`);
  return text.replace(new RegExp(String.raw`(?<![\w-])${name}(?![\w-])`, 'g'), ANY);
}
