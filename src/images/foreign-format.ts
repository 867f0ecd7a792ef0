/** Files that people hand over as disks and that would boot nowhere if they were taken for raw disks. */

export type ForeignFormat = { name: string; remedy: string };

type Magic = ForeignFormat & { offset: number; bytes: string };

const CONVERT = 'Convert it first: `qemu-img convert -O qcow2 IN OUT.qcow2`.';
const UNPACK = 'Unpack it first.';

const MAGICS: readonly Magic[] = [
  { offset: 0x40, bytes: '\x7f\x10\xda\xbe', name: 'a VirtualBox VDI image', remedy: CONVERT },
  { offset: 0, bytes: 'QED\0', name: 'a QED image', remedy: CONVERT },
  { offset: 0, bytes: 'WithoutFreeSpace', name: 'a Parallels image', remedy: CONVERT },
  { offset: 0, bytes: 'WithouFreSpacExt', name: 'a Parallels image', remedy: CONVERT },
  {
    offset: 0,
    bytes: 'COWD',
    name: 'a snapshot extent of VMware (COWD)',
    remedy: 'Consolidate the snapshots of the machine, then name its base disk.',
  },
  {
    offset: 0,
    bytes: '\xbe\xba\xfe\xca\0\0\0\0',
    name: 'a snapshot extent of VMware (seSparse)',
    remedy: 'Consolidate the snapshots of the machine, then name its base disk.',
  },
  { offset: 0, bytes: '\x1f\x8b\x08', name: 'compressed with gzip', remedy: UNPACK },
  { offset: 0, bytes: '\xfd7zXZ\0', name: 'compressed with xz', remedy: UNPACK },
  { offset: 0, bytes: '\x28\xb5\x2f\xfd', name: 'compressed with zstd', remedy: UNPACK },
  { offset: 0, bytes: 'BZh', name: 'compressed with bzip2', remedy: UNPACK },
  { offset: 0, bytes: 'PK\x03\x04', name: 'a zip archive', remedy: UNPACK },
  { offset: 0, bytes: '7z\xbc\xaf\x27\x1c', name: 'a 7z archive', remedy: UNPACK },
  {
    offset: 257,
    bytes: 'ustar',
    name: 'a tar archive',
    remedy: 'If it is an appliance, name it as one (`.ova`); otherwise unpack it first.',
  },
];

/** null where the first bytes are none of these. */
export function foreignFormat(head: Buffer): ForeignFormat | null {
  for (const { offset, bytes, name, remedy } of MAGICS) {
    const magic = Buffer.from(bytes, 'latin1');
    if (head.subarray(offset, offset + magic.length).equals(magic)) return { name, remedy };
  }
  return null;
}
