/** Finds out how guests can run here: /dev/kvm may open and even create a VM, and yet hang the guest. */
import { constants } from 'node:fs';
import { access, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { asLandfallError } from '../domain/errors.ts';
import { tryTool } from '../processes/child.ts';
import { makeScratchFolder } from '../processes/scratch-folder.ts';
import { PROBE_EXIT_STATUS, probeRom } from './probe-rom.ts';
import { untilAborted } from './until-aborted.ts';

export type Acceleration = 'kvm' | 'tcg';

export type ProbeOptions = {
  /** For the probe's 64 KiB firmware file; the OS temp folder by default. */
  scratchFolder?: string;
  signal?: AbortSignal;
};

/** A working KVM ends the probe in 0.1 s; the rest is room for a busy machine. */
const DEADLINE_MS = 4_000;

let known: Promise<Acceleration> | null = null;

/**
 * `kvm` only when a real tiny guest ran to its end under it, else `tcg` (plain emulation). Asked once per process.
 * Throws only when the signal is aborted, which ends the waiting and not the probe that others may share.
 */
export async function probeAcceleration({ scratchFolder, signal }: ProbeOptions = {}): Promise<Acceleration> {
  signal?.throwIfAborted();
  known ??= probeKvm(scratchFolder);
  return untilAborted(known, signal);
}

async function probeKvm(scratchFolder: string | undefined): Promise<Acceleration> {
  try {
    await access('/dev/kvm', constants.R_OK | constants.W_OK);
    return (await runsGuest('kvm', scratchFolder)) ? 'kvm' : 'tcg';
  } catch {
    return 'tcg';
  }
}

/** Does the tiny guest run to its end? Also true for a working `tcg`, which is how a test knows that the guest is sound. */
export async function runsGuest(acceleration: Acceleration, scratchFolder?: string): Promise<boolean> {
  const folder = await makeScratchFolder('probe', scratchFolder);
  try {
    const rom = join(folder, 'probe.rom');
    await writeFile(rom, probeRom());
    const { exitCode } = await tryTool({
      command: 'qemu-system-x86_64',
      args: probeArguments(acceleration, rom),
      signal: AbortSignal.timeout(DEADLINE_MS),
    });
    return exitCode === PROBE_EXIT_STATUS;
  } catch (error) {
    if (asLandfallError(error).code === 'tool-missing') throw error;
    return false;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function probeArguments(acceleration: Acceleration, rom: string): string[] {
  const own = ['-nodefaults', '-no-user-config', '-display', 'none', '-nic', 'none', '-no-reboot'];
  const machine = ['-machine', 'q35', '-m', '16', '-bios', rom];
  const processor = ['-accel', acceleration, '-cpu', acceleration === 'kvm' ? 'host' : 'max'];
  return [...own, ...machine, ...processor, '-device', 'isa-debug-exit,iobase=0xf4,iosize=4'];
}
