/**
 * A virtual machine booted from its disks, to be watched: serial console, screen, power.
 *
 * States: running ──► stopped. A guest that panics keeps running, so that its last words can be seen. It ends with its
 * owner (`await using`), also when the owner's process is killed. QEMU connects to sockets that wait for it and are
 * removed as soon as it did: nothing is polled, and nothing is left behind.
 */
import { mkdir, readFile, rm } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { join, resolve } from 'node:path';
import { LandfallError } from '../domain/errors.ts';
import type { QemuFormat } from '../domain/image.ts';
import type { Firmware } from '../domain/machine.ts';
import { type RunningTool, startTool, type ToolResult } from '../processes/child.ts';
import type { Acceleration } from './acceleration.ts';
import { type ConsoleLog, openConsoleLog } from './console-log.ts';
import { decodeConsole } from './console-text.ts';
import { guestArguments } from './guest-arguments.ts';
import { openQmp, type Qmp } from './qmp.ts';
import { openRendezvous, type Rendezvous } from './rendezvous.ts';
import { provideUefiVariables } from './uefi-firmware.ts';
import { untilAborted } from './until-aborted.ts';

export type GuestOptions = {
  /** For messages. */
  name: string;
  firmware: Firmware;
  /** The first one boots. All are NVMe devices, as on Nitro. */
  disks: readonly GuestDisk[];
  cpus: number;
  memoryBytes: number;
  acceleration: Acceleration;
  /** Private to this guest and kept: its console log and its UEFI variables, which a later boot finds again. */
  folder: string;
  /** What a reboot by the guest does. `stop` (default) keeps a guest from rebooting for ever. */
  onReboot?: 'stop' | 'restart';
  /** Ends the wait for QEMU to start; a guest that was returned lives until it is disposed. */
  signal?: AbortSignal;
};

export type GuestDisk = {
  /** The guest writes to it unless it is read-only: give an overlay (`createOverlay`) to keep the disk as it is. */
  path: string;
  format: QemuFormat;
  readOnly?: boolean;
  /** What the guest reads as the drive's serial number (at most 20 characters), as EC2 puts the volume's id there. */
  serial?: string;
};

export type Guest = AsyncDisposable & {
  pid: number;
  state(): 'running' | 'stopped';
  /** The newest serial output, as the guest sent it; also after it stopped. */
  consoleBytes(): Promise<Uint8Array>;
  /** The same as plain lines, without terminal escapes. */
  consoleText(): Promise<string>;
  /** The screen as a PNG. Throws `boot-failed` once the guest stopped. */
  screenshot(signal?: AbortSignal): Promise<Uint8Array>;
  /** Presses the power button; a guest may take its time, or ignore it. */
  powerButton(signal?: AbortSignal): Promise<void>;
  /** Pulls the plug. QEMU flushes the disks. */
  stop(): Promise<GuestExit>;
  /** Never rejects. */
  exited: Promise<GuestExit>;
};

export type GuestExit = {
  /** `crashed` means QEMU, not the guest. */
  reason: 'shut-down' | 'reset' | 'stopped' | 'crashed';
  detail: string;
};

const START_TIMEOUT_MS = 30_000;
/** QEMU writes what it holds to the disks before it ends. */
const STOP_GRACE_MS = 10_000;
/** QEMU's own needs beyond the guest's memory: translated code, video memory, stacks, libraries. Measured: under 1 GiB. */
const OVERHEAD_BYTES = 3 * 1024 ** 3;

/** Throws `boot-failed` when QEMU does not start, `tool-missing` where it or the UEFI firmware is not installed. */
export async function bootGuest(options: GuestOptions): Promise<Guest> {
  options.signal?.throwIfAborted();
  const folder = resolve(options.folder);
  await mkdir(folder, { recursive: true });
  const uefiVariables = join(folder, 'uefi-variables.fd');
  if (options.firmware === 'uefi') await provideUefiVariables(uefiVariables);
  await using rendezvous = await openRendezvous();
  const tool = await startTool({
    command: 'qemu-system-x86_64',
    args: guestArguments({
      ...options,
      onReboot: options.onReboot ?? 'stop',
      uefiVariables,
      qmpSocket: rendezvous.qmp.path,
      serialSocket: rendezvous.serial.path,
    }),
    limits: { addressSpaceBytes: options.memoryBytes + OVERHEAD_BYTES },
  });
  let log: ConsoleLog | null = null;
  try {
    log = await openConsoleLog(folder);
    return await meetGuest({ options, folder, rendezvous, log, tool });
  } catch (error) {
    const { stderr } = await tool.stop(0);
    await log?.[Symbol.asyncDispose]();
    if (options.signal?.aborted || stderr.trim() === '') throw error;
    throw notStarted(options.name, stderr);
  }
}

type Meeting = {
  options: GuestOptions;
  folder: string;
  rendezvous: Rendezvous;
  log: ConsoleLog;
  tool: RunningTool;
};

async function meetGuest({ options, folder, rendezvous, log, tool }: Meeting): Promise<Guest> {
  const { name, signal } = options;
  const serial = await untilConnected(rendezvous.serial.connected, tool, options);
  const printed = copyConsole(serial, log);
  let shutdownReason: string | null = null;
  const qmp = await openQmp({
    guest: name,
    socket: await untilConnected(rendezvous.qmp.connected, tool, options),
    onEvent: (event, data) => {
      if (event === 'SHUTDOWN') shutdownReason = String(data.reason);
    },
    ...(signal === undefined ? {} : { signal }),
  });
  let state: 'running' | 'stopped' = 'running';
  const end = async (): Promise<GuestExit> => {
    const result = await tool.exited;
    await Promise.all([qmp.closed, printed]);
    await log[Symbol.asyncDispose]();
    state = 'stopped';
    return describeExit(shutdownReason, result);
  };
  const exited = end();
  const stop = async (): Promise<GuestExit> => {
    if (state === 'running') await tool.stop(STOP_GRACE_MS);
    return exited;
  };
  return {
    pid: tool.pid,
    state: () => state,
    consoleBytes: () => log.bytes(),
    consoleText: async () => decodeConsole(await log.bytes()),
    screenshot: createCamera(qmp, folder),
    powerButton: async (pressSignal) => {
      await qmp.execute({ command: 'system_powerdown', ...(pressSignal && { signal: pressSignal }) });
    },
    stop,
    exited,
    [Symbol.asyncDispose]: async () => void (await stop()),
  };
}

async function untilConnected(
  connected: Promise<Socket>,
  tool: RunningTool,
  { name, signal }: GuestOptions,
): Promise<Socket> {
  const failed = tool.exited.then(({ stderr }) => {
    throw notStarted(name, stderr);
  });
  const deadline = AbortSignal.timeout(START_TIMEOUT_MS);
  try {
    return await untilAborted(Promise.race([connected, failed]), anySignal(deadline, signal));
  } catch (error) {
    if (!deadline.aborted) throw error;
    throw new LandfallError({
      code: 'boot-failed',
      message: `QEMU did not start the guest ${name} within ${START_TIMEOUT_MS / 1000} s. The host may be overloaded: run fewer guests at once.`,
      retryable: true,
    });
  }
}

function anySignal(deadline: AbortSignal, signal: AbortSignal | undefined): AbortSignal {
  return signal === undefined ? deadline : AbortSignal.any([deadline, signal]);
}

/** Resolves when the console ended and all of it was given to the log. */
async function copyConsole(serial: Socket, log: ConsoleLog): Promise<void> {
  try {
    for await (const bytes of serial) await log.append(bytes as Buffer);
  } catch {
    // A killed QEMU resets the connection; what came before is in the log.
  }
}

function createCamera(qmp: Qmp, folder: string): Guest['screenshot'] {
  let count = 0;
  return async (signal) => {
    const path = join(folder, `screen-${count++}.png`);
    const shot = { filename: path, format: 'png' };
    try {
      await qmp.execute({ command: 'screendump', arguments: shot, ...(signal && { signal }) });
      return await readFile(path);
    } finally {
      await rm(path, { force: true });
    }
  };
}

function describeExit(shutdownReason: string | null, { exitCode, stderr }: ToolResult): GuestExit {
  if (shutdownReason === 'guest-shutdown') return { reason: 'shut-down', detail: 'the guest shut down' };
  if (shutdownReason === 'guest-reset') return { reason: 'reset', detail: 'the guest rebooted' };
  if (shutdownReason !== null) return { reason: 'stopped', detail: 'the guest was stopped from outside' };
  return { reason: 'crashed', detail: `QEMU ended with status ${exitCode}: ${lastLine(stderr)}` };
}

/** `stderr` also tells when QEMU is not installed. */
function notStarted(name: string, stderr: string): LandfallError {
  return new LandfallError({
    code: stderr.includes('is not installed') ? 'tool-missing' : 'boot-failed',
    message: `QEMU could not start the guest ${name}: ${lastLine(stderr)}`,
    context: { guest: name },
  });
}

function lastLine(text: string): string {
  return (
    text
      .trim()
      .split('\n')
      .at(-1)
      ?.replace(/^LandfallError: /, '') || 'it said nothing'
  );
}
