/**
 * qemu puts a disk together from pieces only by a VMDK descriptor. The source's own is not trusted: this one is ours,
 * in a private folder, and names its extents by links that we made.
 */
import { open, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ImagePiece } from '../domain/image.ts';
import type { JsonObject } from '../domain/json.ts';
import { SECTOR_BYTES } from './disk-size.ts';

/** Writes the description of the pieces into `folder`, which its owner removes, and says how qemu reads it. */
export async function describePiecesIn(folder: string, pieces: readonly ImagePiece[]): Promise<JsonObject> {
  const lines: string[] = [];
  for (const [index, piece] of pieces.entries()) {
    const name = `piece-${index}`;
    const sectors = piece.bytes / SECTOR_BYTES;
    switch (piece.kind) {
      case 'raw':
        await symlink(piece.file.path, join(folder, name));
        lines.push(`RW ${sectors} FLAT "${name}" ${piece.file.offsetBytes / SECTOR_BYTES}`);
        break;
      case 'vmdk-sparse':
        await symlink(piece.file.path, join(folder, name));
        lines.push(`RW ${sectors} SPARSE "${name}"`);
        break;
      case 'zero':
        // qemu skips ZERO lines, which would shift all that follows: a hole in a file stands for them.
        await makeHole(join(folder, name), piece.bytes);
        lines.push(`RW ${sectors} FLAT "${name}" 0`);
        break;
      default:
        return piece satisfies never;
    }
  }
  const descriptor = join(folder, 'pieces.vmdk');
  await writeFile(descriptor, `${HEAD}${lines.join('\n')}\n`);
  return { driver: 'vmdk', backing: null, file: { driver: 'file', filename: descriptor } };
}

/** qemu reads flat and sparse extents side by side under this type. */
const HEAD = `# Disk DescriptorFile
version=1
CID=fffffffe
parentCID=ffffffff
createType="twoGbMaxExtentFlat"
`;

async function makeHole(path: string, bytes: number): Promise<void> {
  await using file = await open(path, 'wx');
  await file.truncate(bytes);
}
