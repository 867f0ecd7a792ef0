/**
 * What a console says when a guest will not come up by itself. Each pattern is a final word: firmware says "Boot failed"
 * or "failed to load Boot0001" of one device and goes on to the next, and initramfs "gave up waiting for
 * suspend/resume device" of a machine that boots well, so none of these is here.
 */

export type ConsoleFailure = {
  /** Matched per line. */
  pattern: RegExp;
  /** What happened, as the end of "web01 did not boot: …". */
  explanation: string;
  remedy: string;
};

const DRIVERS_REMEDY =
  "Boot the machine at its source and add the target's storage drivers to the initramfs (AWS: nvme and ena; Azure: hv_vmbus, hv_storvsc and hv_netvsc; by `dracut --force --add-drivers 'NAMES'`, or a line for each in /etc/initramfs-tools/modules and `update-initramfs -u`), and name file systems by UUID in /etc/fstab.";
const LOADER_REMEDY =
  "Check that the disk that boots is the first one, that the wave's firmware (bios or uefi) is that of the source, and that the boot loader is installed on that disk.";

export const CONSOLE_FAILURES: readonly ConsoleFailure[] = [
  {
    pattern: /Kernel panic(?: - not syncing)?:.*(?:VFS|root fs|root device)/i,
    explanation: 'the kernel panicked because it could not mount its root file system',
    remedy: DRIVERS_REMEDY,
  },
  {
    pattern: /Kernel panic(?: - not syncing)?:/,
    explanation: 'the kernel panicked',
    remedy: 'The lines before the panic name its cause; mend it at the source.',
  },
  {
    pattern: /Gave up waiting for root/,
    explanation: 'its initramfs did not find the root file system',
    remedy: DRIVERS_REMEDY,
  },
  {
    pattern: /^ALERT!.*does not exist/,
    explanation: 'its initramfs did not find the root file system',
    remedy: DRIVERS_REMEDY,
  },
  {
    pattern: /^\(initramfs\)/,
    explanation: "it stopped in the initramfs's shell",
    remedy: DRIVERS_REMEDY,
  },
  {
    pattern: /Failed to mount \/sysroot/,
    explanation: 'it could not mount its root file system',
    remedy: DRIVERS_REMEDY,
  },
  {
    pattern: /(?:^|\s)dracut:\/#/,
    explanation: "it stopped in dracut's emergency shell",
    remedy: DRIVERS_REMEDY,
  },
  {
    pattern: /Entering emergency mode|You are in emergency mode|Welcome to emergency mode/,
    explanation: 'it stopped in emergency mode',
    remedy:
      'Often a file system in /etc/fstab is missing or named by a device that has another name at the target: name it by UUID, or add `nofail`.',
  },
  {
    pattern: /grub rescue>/,
    explanation: 'GRUB did not find its files and stopped in its rescue shell',
    remedy: LOADER_REMEDY,
  },
  {
    pattern: /^grub>/,
    explanation: 'GRUB found no configuration and stopped in its shell',
    remedy: LOADER_REMEDY,
  },
  {
    pattern: /No bootable device|No bootable option or device was found|No bootable medium found/i,
    explanation: 'the firmware found nothing to boot',
    remedy: LOADER_REMEDY,
  },
  {
    pattern: /^(?:Missing operating system|Operating System not found|Error loading operating system)/i,
    explanation: "the disk's boot record found no operating system",
    remedy: LOADER_REMEDY,
  },
  {
    pattern: /UEFI Interactive Shell/,
    explanation: 'the firmware found nothing to boot and started its own shell',
    remedy: LOADER_REMEDY,
  },
  {
    pattern: /BOOTMGR is (?:missing|compressed)/,
    explanation: 'the Windows boot manager is missing',
    remedy: LOADER_REMEDY,
  },
  {
    pattern: /INACCESSIBLE_BOOT_DEVICE/,
    explanation: 'Windows has no driver for the disk it boots from',
    remedy:
      "Install the target's storage drivers before the move, or let the target inject them (`via: import-image` on AWS).",
  },
];

export type FailureSeen = ConsoleFailure & { line: string };

/** The first line that is a final word: of the known failures, or of the wave's own `refuse` patterns. */
export function findFailure(lines: readonly string[], refuse: readonly string[]): FailureSeen | null {
  const failures = [...refuse.map(refusedByWave), ...CONSOLE_FAILURES];
  for (const line of lines) {
    const failure = failures.find(({ pattern }) => pattern.test(line));
    if (failure !== undefined) return { ...failure, line: line.trim() };
  }
  return null;
}

function refusedByWave(source: string): ConsoleFailure {
  return {
    pattern: new RegExp(source),
    explanation: `its console printed what the wave refuses (/${source}/)`,
    remedy: 'Mend the guest at its source, or take the pattern out of proof.refuse.',
  };
}
