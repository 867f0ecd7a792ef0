/**
 * What the status checks say. AWS's instance check asks the guest by ARP; the sandbox's guests have no network, so it
 * takes their console as the sign of life: alive for a while, and it spoke after the firmware handed over. A panic, or
 * a firmware that found nothing to boot, is `impaired` at once; silence is after a longer while. Pure.
 */

export type Health = 'initializing' | 'ok' | 'impaired';

export type Pulse = {
  /** Since the guest was started. */
  aliveMs: number;
  /** Plain text, as `consoleText` gives it. */
  console: string;
  healthyAfterMs: number;
  silentAfterMs: number;
};

const FATAL = /Kernel panic - not syncing|No bootable device|No bootable option or device was found/i;

/** What firmware and boot loaders say before any operating system does. */
const FIRMWARE =
  /^\s*(SeaBIOS|iPXE|Machine UUID|Booting |Boot failed|Press |BdsDxe:|UEFI |GNU GRUB|GRUB |Welcome to GRUB|SYSLINUX|ISOLINUX|EXTLINUX|boot:|Loading |>>Start|Shell>|No mapping|EFI stub:|Use the |Minimal BASH)/i;

export function judgeHealth({ aliveMs, console, healthyAfterMs, silentAfterMs }: Pulse): Health {
  if (FATAL.test(console)) return 'impaired';
  const hasSpoken = console.split('\n').some((line) => line.trim() !== '' && !FIRMWARE.test(line));
  if (hasSpoken) return aliveMs >= healthyAfterMs ? 'ok' : 'initializing';
  return aliveMs >= silentAfterMs ? 'impaired' : 'initializing';
}
