/**
 * A split or flat VMDK: a descriptor whose extents lie beside it. Extents are taken by basename from the descriptor's
 * own folder only, and each passes the guard; what qemu later reads is a description that we wrote.
 */
import { realpath } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { LandfallError } from '../domain/errors.ts';
import type { ImagePiece } from '../domain/image.ts';
import { checkDiskBytes, SECTOR_BYTES } from './disk-size.ts';
import { COPY_AGAIN, corruptImage, hostileImage, missingImage } from './refusal.ts';
import { openSlice } from './slice-reader.ts';
import { MAX_DESCRIPTOR_BYTES, parseVmdkDescriptor, type VmdkExtentLine } from './vmdk-descriptor.ts';
import { inspectSparseExtent } from './vmdk-header.ts';

export type DescribedPieces = { pieces: ImagePiece[]; createType: string; files: string[] };

type Request = { descriptor: string; signal?: AbortSignal | undefined };

const SPLIT_TYPES: ReadonlySet<string> = new Set([
  'twoGbMaxExtentSparse',
  'twoGbMaxExtentFlat',
  'monolithicFlat',
  'monolithicSparse',
  'vmfs',
]);

export async function describePieces(request: Request): Promise<DescribedPieces> {
  const { descriptor: label } = request;
  const { createType, extents } = await readDescriptor(request);
  if (!SPLIT_TYPES.has(createType)) {
    throw hostileImage({
      label,
      found: `its createType is ${JSON.stringify(createType)}, and a descriptor may only be ${[...SPLIT_TYPES].join(', ')}`,
      remedy: 'Consolidate snapshots and detach raw devices, or export the disk as a stream-optimised VMDK.',
      context: { createType },
    });
  }
  if (extents.length === 0) {
    throw corruptImage({ label, found: 'its descriptor lists no extents', remedy: COPY_AGAIN });
  }
  checkDiskBytes({
    label,
    bytes: extents.reduce((sum, { sectors }) => sum + BigInt(sectors) * BigInt(SECTOR_BYTES), 0n),
  });
  await refuseMissing(request, extents);
  const pieces: ImagePiece[] = [];
  for (const extent of extents) pieces.push(await describePiece(request, extent));
  const files = pieces.flatMap((piece) => (piece.kind === 'zero' ? [] : [piece.file.path]));
  return { pieces, createType, files: [label, ...new Set(files)] };
}

async function readDescriptor({ descriptor: label, signal }: Request) {
  await using reader = await openSlice({
    slice: { path: label, offsetBytes: 0, lengthBytes: null },
    label,
    signal,
  });
  if (reader.lengthBytes >= MAX_DESCRIPTOR_BYTES) {
    throw hostileImage({
      label,
      found: `it is a VMDK descriptor of ${reader.lengthBytes} bytes, and only less than 1 MiB is believed`,
      remedy: 'Export the disk again with a current tool.',
    });
  }
  const bytes = await reader.read({
    offsetBytes: 0,
    lengthBytes: reader.lengthBytes,
    what: 'its descriptor',
  });
  return parseVmdkDescriptor({ bytes, label });
}

/** All that are missing are named at once: half of a split disk was often left behind. */
async function refuseMissing({ descriptor }: Request, extents: readonly VmdkExtentLine[]): Promise<void> {
  const names = new Set(extents.flatMap(({ file }) => (file === null ? [] : [file])));
  const missing: string[] = [];
  for (const name of names) {
    try {
      await realpath(join(dirname(descriptor), name));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') missing.push(name);
    }
  }
  if (missing.length === 0) return;
  const shown = missing.slice(0, 10).join(', ') + (missing.length > 10 ? ', …' : '');
  throw missingImage({
    label: descriptor,
    found: `${missing.length} of its ${names.size} extents are missing: ${shown}`,
    remedy: `Copy them into ${dirname(descriptor)}, beside the descriptor.`,
    context: { missing: missing.length },
  });
}

async function describePiece(request: Request, extent: VmdkExtentLine): Promise<ImagePiece> {
  const bytes = extent.sectors * SECTOR_BYTES;
  if (extent.file === null) return { kind: 'zero', bytes };
  const path = await resolveExtent(request.descriptor, extent.file);
  const slice = { path, offsetBytes: 0, lengthBytes: null };
  await using reader = await openSlice({ slice, label: path, signal: request.signal });
  if (extent.type === 'SPARSE') {
    const sparse = await inspectSparseExtent(reader);
    if (sparse.bytes !== bytes) {
      throw corruptImage({
        label: path,
        found: `it holds ${sparse.bytes} bytes of the disk, and ${request.descriptor} gives it ${bytes}`,
        remedy: 'See that all extents are of the same disk; copy them again with their descriptor.',
      });
    }
    return { kind: 'vmdk-sparse', bytes, file: slice };
  }
  const offsetBytes = extent.offsetSectors * SECTOR_BYTES;
  reader.expect({ offsetBytes, lengthBytes: bytes, what: `what ${request.descriptor} takes from it` });
  return { kind: 'raw', bytes, file: { path, offsetBytes, lengthBytes: bytes } };
}

/** A symbolic link may lead to another name in the same folder, nowhere else. */
async function resolveExtent(descriptor: string, name: string): Promise<string> {
  const path = join(dirname(descriptor), name);
  const [folder, target] = await Promise.all([realpath(dirname(descriptor)), realpath(path)]).catch(
    (cause: unknown) => {
      throw new LandfallError({
        code: 'image-unreadable',
        message: `Cannot follow ${path}: ${(cause as NodeJS.ErrnoException).code}. Check its permissions and links.`,
        context: { image: path },
        cause,
      });
    },
  );
  if (dirname(target) === folder) return path;
  throw hostileImage({
    label: descriptor,
    found: `its extent ${JSON.stringify(name)} is a link to ${target}, outside of its folder`,
    remedy: 'Put the extents themselves into the folder of the descriptor, if you trust it.',
    context: { extent: name, target },
  });
}
