/** What firmware and boot loaders of its kind (network boot, UEFI shell) say before anything on a disk speaks. */
const FIRMWARE_LINE =
  /^\s*(SeaBIOS|iPXE|Machine UUID|Booting from |Boot failed|No bootable |Press |BdsDxe:|UEFI |>>Start|>>\w+ Boot|Shell>|No mapping|startup\.nsh|map: |Mapping table|FS\d+:|BLK\d+:|PciRoot\()/i;

/** Did the firmware find nothing to hand over to, as far as the console tells? An empty one counts: many firmwares are mute. */
export function endsInFirmware(lines: readonly string[]): boolean {
  return lines.every((line) => !/[\p{L}\p{N}]{2}/u.test(line) || FIRMWARE_LINE.test(line));
}
