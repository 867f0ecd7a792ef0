/** Looks into the GUID partition table of a raw disk. Layout: UEFI specification 2.10, section 5.3. */
import type { FileSlice } from '../domain/image.ts';
import { SECTOR_BYTES } from './disk-size.ts';
import { openSlice } from './slice-reader.ts';

/** As they lie on disk: the first three fields of a GUID are little-endian. */
const EFI_SYSTEM = Buffer.from('28732ac11ff8d211ba4b00a0c93ec93b', 'hex');
const BIOS_BOOT = Buffer.from('4861682149646f6e744e656564454649', 'hex');

const MAX_ENTRIES = 128;
const MAX_ENTRY_BYTES = 1024;

/** Has it an EFI system partition and none for BIOS boot loaders? Cloud images often have both, and boot by either. */
export async function bootsByUefiOnly(disk: FileSlice, signal: AbortSignal): Promise<boolean> {
  const types = await partitionTypes(disk, signal);
  const holds = (wanted: Buffer): boolean => types.some((type) => type.equals(wanted));
  return holds(EFI_SYSTEM) && !holds(BIOS_BOOT);
}

/** Empty where there is no such table, or one that makes no sense. */
async function partitionTypes(disk: FileSlice, signal: AbortSignal): Promise<Buffer[]> {
  await using reader = await openSlice({ slice: disk, label: disk.path, signal });
  if (reader.lengthBytes < 2 * SECTOR_BYTES) return [];
  const what = 'its partition table';
  const header = await reader.read({ offsetBytes: SECTOR_BYTES, lengthBytes: SECTOR_BYTES, what });
  if (header.toString('latin1', 0, 8) !== 'EFI PART') return [];
  const offsetBytes = Number(header.readBigUInt64LE(72)) * SECTOR_BYTES;
  const count = Math.min(header.readUInt32LE(80), MAX_ENTRIES);
  const entryBytes = header.readUInt32LE(84);
  const lengthBytes = count * entryBytes;
  const isSane = entryBytes >= 128 && entryBytes <= MAX_ENTRY_BYTES;
  if (!isSane || offsetBytes + lengthBytes > reader.lengthBytes) return [];
  const entries = await reader.read({ offsetBytes, lengthBytes, what });
  return Array.from({ length: count }, (_, index) =>
    entries.subarray(index * entryBytes, index * entryBytes + 16),
  );
}
