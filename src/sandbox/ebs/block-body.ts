/** A request's body, hashed while it comes in: the hash is what the signature and the checksum both speak of. */
import { createHash } from 'node:crypto';
import { Refusal } from '../refusal.ts';
import { BLOCK_BYTES } from './block-file.ts';

export type EbsBody = {
  /** As they came, not joined: joining would copy every block once more. */
  pieces: readonly Uint8Array[];
  lengthBytes: number;
  sha256: Buffer;
};

/** Of all actions; a block is the largest. */
const MAX_BODY_BYTES = BLOCK_BYTES;

/** Throws RequestEntityTooLargeException. */
export async function readEbsBody(body: AsyncIterable<Uint8Array>): Promise<EbsBody> {
  const hash = createHash('sha256');
  const pieces: Uint8Array[] = [];
  let lengthBytes = 0;
  for await (const piece of body) {
    lengthBytes += piece.length;
    if (lengthBytes > MAX_BODY_BYTES) throw tooLarge();
    hash.update(piece);
    pieces.push(piece);
  }
  return { pieces, lengthBytes, sha256: hash.digest() };
}

function tooLarge(): Refusal {
  const message = `The body is over ${MAX_BODY_BYTES} bytes.`;
  return new Refusal({ status: 413, code: 'RequestEntityTooLargeException', message });
}
