/**
 * A digest tree as the evidence store keeps it. Numbers have their most significant byte first.
 *
 *   0   8   magic `LFDIGEST`          24  4   pages that follow
 *   8   4   version, 1                28      pages, ascending: 4 bytes number, 4,096 bytes leaves
 *   12  4   zero                      end-32  the root
 *   16  8   disk's length in bytes
 *
 * Pages without leaves are left out, so one content has one file: 4,100 bytes for every 64 MiB that hold data.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { LandfallError } from '../domain/errors.ts';
import { contentPage, createDigestTree, DIGEST_BYTES, type DigestTree, PAGE_BYTES } from './digest-tree.ts';
import { isZero } from './zero-test.ts';

const MAGIC = 'LFDIGEST';
const VERSION = 1;
const HEAD_BYTES = 28;
const ENTRY_BYTES = 4 + PAGE_BYTES;
/** Copying and checking one takes about a microsecond. */
const PAGES_PER_SLICE = 4_096;

export async function encodeDigestTree(tree: DigestTree): Promise<Buffer> {
  const numbers: number[] = [];
  for (let number = 0; number < tree.pageCount; number += 1) {
    if (number % PAGES_PER_SLICE === 0) await nextTurn();
    const page = tree.page(number);
    if (page !== null && !isZero(contentPage(page))) numbers.push(number);
  }
  const file = Buffer.alloc(HEAD_BYTES + numbers.length * ENTRY_BYTES + DIGEST_BYTES);
  file.write(MAGIC, 'ascii');
  file.writeUInt32BE(VERSION, 8);
  file.writeBigUInt64BE(BigInt(tree.diskBytes), 16);
  file.writeUInt32BE(numbers.length, 24);
  for (const [entry, number] of numbers.entries()) {
    if (entry % PAGES_PER_SLICE === 0) await nextTurn();
    const at = HEAD_BYTES + entry * ENTRY_BYTES;
    file.writeUInt32BE(number, at);
    file.set(contentPage(tree.page(number) ?? Buffer.alloc(PAGE_BYTES)), at + 4);
  }
  file.set(await tree.root(), file.length - DIGEST_BYTES);
  return file;
}

/** Throws `digest-mismatch` for anything that `encodeDigestTree` does not write, down to the last bit. */
export async function decodeDigestTree(bytes: Uint8Array): Promise<DigestTree> {
  const file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const { tree, pages } = readHead(file);
  let next = 0;
  for (let entry = 0; entry < pages; entry += 1) {
    if (entry % PAGES_PER_SLICE === 0) await nextTurn();
    const at = HEAD_BYTES + entry * ENTRY_BYTES;
    const number = file.readUInt32BE(at);
    const page = file.subarray(at + 4, at + ENTRY_BYTES);
    if (number < next) throw damaged(`page ${number} comes after page ${next - 1}`);
    if (isZero(page)) throw damaged(`page ${number} is empty`);
    if (contentPage(page) !== page) throw damaged(`page ${number} has a leaf for a block of zeros`);
    setPage(tree, number, page);
    next = number + 1;
  }
  const root = await tree.root();
  if (!root.equals(file.subarray(-DIGEST_BYTES))) throw damaged('its root is not the one of its leaves');
  return tree;
}

function readHead(file: Buffer): { tree: DigestTree; pages: number } {
  if (file.length < HEAD_BYTES + DIGEST_BYTES) throw damaged(`${file.length} bytes are too few`);
  if (file.toString('latin1', 0, MAGIC.length) !== MAGIC) throw damaged(`it does not begin with ${MAGIC}`);
  const version = file.readUInt32BE(8);
  if (version !== VERSION)
    throw damaged(`its version is ${version}, and this Landfall reads version ${VERSION}`);
  if (file.readUInt32BE(12) !== 0) throw damaged('bytes 12 to 15 are not zero');
  const pages = file.readUInt32BE(24);
  const expectedBytes = HEAD_BYTES + pages * ENTRY_BYTES + DIGEST_BYTES;
  if (file.length !== expectedBytes) {
    throw damaged(
      `it is ${file.length} bytes long, and ${expectedBytes} with the ${pages} pages it announces`,
    );
  }
  try {
    return { tree: createDigestTree({ diskBytes: Number(file.readBigUInt64BE(16)) }), pages };
  } catch (error) {
    throw damaged((error as Error).message, error);
  }
}

function setPage(tree: DigestTree, number: number, page: Buffer): void {
  try {
    tree.setPage(number, page);
  } catch (error) {
    throw damaged((error as Error).message, error);
  }
}

function damaged(reason: string, cause?: unknown): LandfallError {
  return new LandfallError({
    code: 'digest-mismatch',
    message: `Read a digest tree that is not as it was written: ${reason}. Restore the file in the evidence store from a copy; without it the landed disk cannot be compared with what was uploaded.`,
    cause,
  });
}
