/** What a daemon (`up`, `worker`, `sandbox`) says: lines for eyes on a terminal, JSON lines (pino) everywhere else. */
import pc from 'picocolors';
import { pino } from 'pino';
import type { Config } from './config.ts';

export type LogLine = 'debug' | 'info' | 'warn' | 'error';
export type Log = (level: LogLine, message: string, fields?: Record<string, unknown>) => void;

const ORDER: readonly LogLine[] = ['debug', 'info', 'warn', 'error'];

/** `onStderr`: where stdout is for one JSON document. */
export function createLog(
  level: Config['logLevel'],
  { isTerminal, onStderr = false }: { isTerminal: boolean; onStderr?: boolean },
): Log {
  if (!isTerminal) {
    const settings = { level, base: null, timestamp: pino.stdTimeFunctions.isoTime };
    const logger = pino(settings, pino.destination(onStderr ? 2 : 1));
    return (at, message, fields = {}) => logger[at](fields, message);
  }
  return (at, message) => {
    if (ORDER.indexOf(at) < ORDER.indexOf(level)) return;
    const time = pc.dim(new Date().toTimeString().slice(0, 8));
    process.stdout.write(`${time} ${paint(at, message)}\n`);
  };
}

function paint(level: LogLine, message: string): string {
  if (level === 'error') return pc.red(message);
  return level === 'warn' ? pc.yellow(message) : message;
}
