/**
 * Describes to qemu how to read an image. Every driver and every file is named by us: qemu probes nothing, and what an
 * image says of other files is not followed.
 */
import type { FileSlice, QemuFormat } from '../domain/image.ts';
import type { JsonObject } from '../domain/json.ts';
import { SECTOR_BYTES } from './disk-size.ts';

/** As a file name for qemu's tools. */
export function describeToQemu(blocks: JsonObject): string {
  return `json:${JSON.stringify(blocks)}`;
}

export function describeSingle({ format, file }: { format: QemuFormat; file: FileSlice }): JsonObject {
  switch (format) {
    case 'raw':
      return { driver: 'raw', ...window(file), file: fileNode(file) };
    case 'qcow2':
    case 'vmdk':
      // `backing: null` keeps qemu from opening a parent, were the guard ever wrong.
      return { driver: format, backing: null, file: sliceNode(file) };
    case 'vhd':
      // For the VHDs of other makers qemu rounds the size down to a CHS geometry unless told to believe the footer.
      return { driver: 'vpc', force_size_calc: 'current_size', file: sliceNode(file) };
    case 'vhdx':
      return { driver: 'vhdx', file: sliceNode(file) };
    default:
      return format satisfies never;
  }
}

/** A disk of zeros. */
export function describeBlank(bytes: number): JsonObject {
  return { driver: 'null-co', size: bytes, 'read-zeroes': true };
}

function sliceNode(slice: FileSlice): JsonObject {
  const isWhole = slice.offsetBytes === 0 && slice.lengthBytes === null;
  if (isWhole) return fileNode(slice);
  return { driver: 'raw', ...window(slice), file: fileNode(slice) };
}

function fileNode({ path }: FileSlice): JsonObject {
  return { driver: 'file', filename: path };
}

/** qemu takes whole sectors only; the members of a tar, the slices there are, are padded to them with zeros. */
function window({ offsetBytes, lengthBytes }: FileSlice): JsonObject {
  if (lengthBytes === null) return offsetBytes === 0 ? {} : { offset: offsetBytes };
  return { offset: offsetBytes, size: Math.ceil(lengthBytes / SECTOR_BYTES) * SECTOR_BYTES };
}
