/** How a guest of the estate behaves: it boots to its login, panics, says nothing at all, or boots from /dev/vda only. */
export type GuestKind = 'ok' | 'panic' | 'silent' | 'tied';

export type KernelArguments = {
  name: string;
  /** The file system on each disk, in order. */
  disks: readonly ('vfat' | 'ext4')[];
  kind: GuestKind;
};

/** The kernel hands names that it does not know to init, as environment variables. */
export function kernelArguments({ name, disks, kind }: KernelArguments): string {
  // The last console is also /dev/console. A panic stays: no reboot. The timer check fails, and panics, on hosts so busy
  // that emulated ticks come late.
  const console = 'console=tty0 console=ttyS0,115200 consoleblank=0 quiet panic=0 no_timer_check';
  return `${console} guest_name=${name} guest_disks=${disks.join(',')} guest_kind=${kind}`;
}
