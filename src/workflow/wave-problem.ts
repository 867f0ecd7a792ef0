/** What is wrong with a wave file, and where: each problem is one line that an editor or a person can jump to. */
import { LandfallError } from '../domain/errors.ts';

export type Position = { line: number; column: number };

export type WaveProblem = Position & {
  /** Path in the file, for example `machines[1].to.subnet`; null: the file as a whole. */
  where: string | null;
  what: string;
  /** What to do, as a sentence of its own; null where `what` says it all. */
  remedy: string | null;
};

/** A file can be wrong in every line; nobody reads beyond this. */
const MAX_SHOWN = 50;

/** All problems in one `wave-invalid`, each once, in the order of the file. */
export function waveInvalid(file: string, problems: readonly WaveProblem[]): LandfallError {
  const inOrder = [...problems].sort((a, b) => a.line - b.line || a.column - b.column);
  const lines = [...new Set(inOrder.map((problem) => formatProblem(file, problem)))];
  const hidden = lines.length - MAX_SHOWN;
  const shown = hidden > 0 ? [...lines.slice(0, MAX_SHOWN), `${file}: and ${hidden} more problems`] : lines;
  const first = inOrder[0] ?? { line: 1, column: 1 };
  return new LandfallError({
    code: 'wave-invalid',
    message: shown.join('\n'),
    context: { file, line: first.line, column: first.column, problems: lines.length },
  });
}

/** `machines[1].to.subnet` */
export function formatPath(path: readonly PropertyKey[]): string | null {
  if (path.length === 0) return null;
  return path.reduce<string>((text, key) => {
    if (typeof key === 'number') return `${text}[${key}]`;
    return text === '' ? String(key) : `${text}.${String(key)}`;
  }, '');
}

function formatProblem(file: string, { line, column, where, what, remedy }: WaveProblem): string {
  const sentence = `${where === null ? '' : `${where} `}${what.replace(/\.$/, '')}.`;
  return `${file}:${line}:${column}: ${sentence}${remedy === null ? '' : ` ${remedy}`}`;
}
