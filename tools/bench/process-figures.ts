/** What a process learns of itself, while it works: time, memory, its event loop, and what it wrote to disks. */
import { readFile } from 'node:fs/promises';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { type Standstill, watchStandstills } from './standstills.ts';

export type ProcessFigures = {
  elapsedMs: number;
  cpuMs: number;
  peakBytes: number;
  worstBlockMs: number;
  /** Of the event loop, those of 20 ms or longer. */
  standstills: Standstill[];
  /** To disks only: neither to sockets nor to memory file systems, nor what notes the time when files were read. */
  writtenBytes: number;
};

/** A timer of the loop's own: it costs no JavaScript, and tells blocks from this length on. */
const RESOLUTION_MS = 1;
/** Shorter ones are nobody's worst. */
export const STANDSTILL_MS = 20;

/** File systems write down when a file was read, for example a module that is loaded late, and charge it to the reader. */
const ACCESS_TIMES_BYTES = 64 * 1024;

/** Measures from now until the function that it gives is called. */
export async function startProcessFigures(): Promise<() => Promise<ProcessFigures>> {
  const writtenBefore = await writtenBytes();
  const delays = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  delays.enable();
  const standstills: Standstill[] = [];
  const unwatch = watchStandstills(STANDSTILL_MS, (standstill) => standstills.push(standstill));
  const cpuBefore = process.cpuUsage();
  const startedAt = performance.now();
  return async () => {
    const elapsedMs = performance.now() - startedAt;
    const cpu = process.cpuUsage(cpuBefore);
    delays.disable();
    unwatch();
    return {
      elapsedMs,
      cpuMs: (cpu.user + cpu.system) / 1000,
      peakBytes: await peakBytes(),
      worstBlockMs: Math.max(0, delays.max / 1e6 - RESOLUTION_MS),
      standstills,
      writtenBytes: Math.max(0, (await writtenBytes()) - writtenBefore - ACCESS_TIMES_BYTES),
    };
  };
}

/** Not by getrusage(2), whose peak begins with that of the process that started this one. */
async function peakBytes(): Promise<number> {
  return 1024 * (await numberIn('/proc/self/status', 'VmHWM'));
}

async function writtenBytes(): Promise<number> {
  return await numberIn('/proc/self/io', 'write_bytes');
}

/** The number after `NAME:`. */
async function numberIn(file: string, name: string): Promise<number> {
  const [, digits] = new RegExp(`^${name}:\\s*(\\d+)`, 'm').exec(await readFile(file, 'utf8')) ?? [];
  if (digits === undefined) throw new Error(`${file} tells nothing of ${name}`);
  return Number(digits);
}
