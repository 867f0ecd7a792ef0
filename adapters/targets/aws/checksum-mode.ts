/**
 * What a bucket's server checks. AWS keeps the CRC-32 of the full object (combined from the parts', in any order); other
 * S3 servers know only a checksum of checksums, or none. The server's own answers tell which, so that nothing needs to
 * be remembered between attempts.
 * https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html
 */
import type { CreateMultipartUploadRequest } from '@aws-sdk/client-s3';
import {
  combineCrc32,
  crc32,
  crc32FromBase64,
  crc32ToHex,
  type PartCrc32,
} from '../../../src/blocks/crc32.ts';
import type { Digest } from '../../../src/domain/landing.ts';

export type ChecksumMode = 'full-object' | 'composite' | 'none';

/** In the order in which they are tried. */
export const CHECKSUM_MODES: readonly ChecksumMode[] = ['full-object', 'composite', 'none'];

type Told = { ChecksumAlgorithm?: string | undefined; ChecksumType?: string | undefined };

export function requestFor(
  mode: ChecksumMode,
): Pick<CreateMultipartUploadRequest, 'ChecksumAlgorithm' | 'ChecksumType'> {
  switch (mode) {
    case 'full-object':
      return { ChecksumAlgorithm: 'CRC32', ChecksumType: 'FULL_OBJECT' };
    case 'composite':
      return { ChecksumAlgorithm: 'CRC32' };
    case 'none':
      return {};
    default:
      return mode satisfies never;
  }
}

/** From what CreateMultipartUpload or ListParts answered: a server that does not echo the algorithm does not check it. */
export function modeTold({ ChecksumAlgorithm, ChecksumType }: Told): ChecksumMode {
  if (ChecksumAlgorithm !== 'CRC32') return 'none';
  return ChecksumType === 'FULL_OBJECT' ? 'full-object' : 'composite';
}

/** Why a mode is less than the best, for the operator; null for the best. */
export function shortfallOf(mode: ChecksumMode): string | null {
  switch (mode) {
    case 'full-object':
      return null;
    case 'composite':
      return 'This S3 server keeps no checksum of full objects: each part is checked, and their order by a checksum of checksums.';
    case 'none':
      return 'This S3 server keeps no CRC-32: only the lengths of what it holds can be checked after upload.';
    default:
      return mode satisfies never;
  }
}

/** What the finished object's digests should be, before the server was asked. */
export function digestsOf(parts: readonly PartCrc32[]): { crc32: string; crc32OfParts: string } {
  return { crc32: crc32ToHex(combineCrc32(parts)), crc32OfParts: crc32ToHex(crc32OfParts(parts)) };
}

/** The digests that a server told by HeadObject; S3 writes a checksum of checksums as `BASE64-COUNT`. */
export function digestsTold(told: {
  ChecksumCRC32?: string | undefined;
  ChecksumType?: string | undefined;
}): Digest[] {
  const [text = '', partCount] = (told.ChecksumCRC32 ?? '').split('-');
  const crc = crc32FromBase64(text);
  if (crc === null) return [];
  const isComposite = partCount !== undefined || told.ChecksumType === 'COMPOSITE';
  return [{ algorithm: isComposite ? 'crc32-parts' : 'crc32', value: crc32ToHex(crc), isConfirmed: true }];
}

/** S3's COMPOSITE checksum: the CRC-32 over the parts' CRCs, four bytes each, in order. */
function crc32OfParts(parts: readonly PartCrc32[]): number {
  const bytes = Buffer.alloc(4 * parts.length);
  parts.forEach((part, index) => {
    bytes.writeUInt32BE(part.crc32 >>> 0, 4 * index);
  });
  return crc32(bytes);
}
