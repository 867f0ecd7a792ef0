/** The checksums of S3 that the sandbox computes. All values are base64 of the big-endian digest, as on the wire. */
import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { Refusal } from '../refusal.ts';

export const CHECKSUM_ALGORITHMS = ['CRC32', 'SHA1', 'SHA256'] as const;
export type ChecksumAlgorithm = (typeof CHECKSUM_ALGORITHMS)[number];
/** FULL_OBJECT is over the whole object's bytes; COMPOSITE over the parts' checksums, with the part count behind it. */
export type ChecksumType = 'FULL_OBJECT' | 'COMPOSITE';
export type Checksum = { algorithm: ChecksumAlgorithm; type: ChecksumType; value: string };

export type RunningChecksum = { update(chunk: Uint8Array): void; digest(): string };

/** Real in S3, but without a fast implementation in Node: refused, never ignored. */
const UNSUPPORTED = ['CRC32C', 'CRC64NVME'];
const DIGEST_BYTES: Readonly<Record<ChecksumAlgorithm, number>> = { CRC32: 4, SHA1: 20, SHA256: 32 };

export function startChecksum(algorithm: ChecksumAlgorithm): RunningChecksum {
  if (algorithm === 'CRC32') return startCrc32();
  const hash = createHash(algorithm.toLowerCase());
  return { update: (chunk) => void hash.update(chunk), digest: () => hash.digest('base64') };
}

export function composeChecksum(algorithm: ChecksumAlgorithm, parts: readonly string[]): string {
  const whole = startChecksum(algorithm);
  for (const part of parts) whole.update(Buffer.from(part, 'base64'));
  return `${whole.digest()}-${parts.length}`;
}

/** Throws NotImplemented for the algorithms that the sandbox lacks, InvalidRequest for what S3 does not know. */
export function readAlgorithm(name: string): ChecksumAlgorithm {
  const known = CHECKSUM_ALGORITHMS.find((algorithm) => algorithm === name.toUpperCase());
  if (known !== undefined) return known;
  if (UNSUPPORTED.includes(name.toUpperCase())) {
    const message = `A header you provided implies functionality that is not implemented: the checksum ${name}`;
    throw new Refusal({ status: 501, code: 'NotImplemented', message });
  }
  const message = 'Checksum algorithm provided is unsupported. Please try again with any of the valid types.';
  throw new Refusal({ status: 400, code: 'InvalidRequest', message });
}

export function isChecksumValue(algorithm: ChecksumAlgorithm, value: string): boolean {
  const bytes = Buffer.from(value, 'base64');
  return bytes.length === DIGEST_BYTES[algorithm] && bytes.toString('base64') === value;
}

export function checksumHeader(algorithm: ChecksumAlgorithm): string {
  return `x-amz-checksum-${algorithm.toLowerCase()}`;
}

/** The member's name in XML: ChecksumCRC32. */
export function checksumElement(algorithm: ChecksumAlgorithm): string {
  return `Checksum${algorithm}`;
}

function startCrc32(): RunningChecksum {
  let value = 0;
  return {
    update: (chunk) => {
      value = crc32(chunk, value);
    },
    digest: () => {
      const bytes = Buffer.alloc(4);
      bytes.writeUInt32BE(value);
      return bytes.toString('base64');
    },
  };
}
