/** What a qcow2 says of the image under it. Layout: qemu, docs/interop/qcow2.txt. Numbers are big-endian. */
import { COPY_AGAIN, corruptImage } from '../../../src/images/refusal.ts';
import type { SliceReader } from '../../../src/images/slice-reader.ts';

export type Backing = {
  /** As it stands there: an absolute path, one relative to the image's folder, or qemu's other ways to name things. */
  name: string;
  /** null: it does not say. */
  format: string | null;
};

const MAGIC = Buffer.from('QFI\xfb', 'latin1');
/** Bytes 8 to 19: offset and length of the name. */
const NAME_FIELDS = { from: 8, to: 20 };
const V2_HEADER_BYTES = 72;
const MAX_NAME_BYTES = 1023;
const EXTENSION = { end: 0, backingFormat: 0xe2792aca };
const MAX_EXTENSIONS = 64;

/** null: there is nothing under it. Throws `image-corrupt`. */
export async function readBacking(reader: SliceReader): Promise<Backing | null> {
  const header = await reader.read({ offsetBytes: 0, lengthBytes: V2_HEADER_BYTES, what: 'its header' });
  if (!header.subarray(0, MAGIC.length).equals(MAGIC)) {
    throw damaged(reader, 'it should be qcow2, and its bytes are not');
  }
  const offset = header.readBigUInt64BE(8);
  const lengthBytes = header.readUInt32BE(16);
  if (offset === 0n && lengthBytes === 0) return null;
  if (lengthBytes === 0 || lengthBytes > MAX_NAME_BYTES || offset > BigInt(reader.lengthBytes)) {
    throw damaged(reader, `the name of its backing file has ${lengthBytes} bytes at byte ${offset}`);
  }
  const what = 'the name of its backing file';
  const name = await reader.read({ offsetBytes: Number(offset), lengthBytes, what });
  return { name: name.toString('utf8'), format: await readFormat(reader, header) };
}

/**
 * The image as it would be without anything under it. The header guard refuses every backing file; where the chain
 * itself is judged, it looks at all the rest through this.
 */
export function withoutBacking(reader: SliceReader): SliceReader {
  const read: SliceReader['read'] = async (wanted) => {
    const bytes = await reader.read(wanted);
    const from = Math.max(0, NAME_FIELDS.from - wanted.offsetBytes);
    const to = Math.max(0, NAME_FIELDS.to - wanted.offsetBytes);
    return bytes.fill(0, Math.min(from, bytes.length), Math.min(to, bytes.length));
  };
  return { ...reader, read };
}

async function readFormat(reader: SliceReader, header: Buffer): Promise<string | null> {
  const isVersion2 = header.readUInt32BE(4) === 2;
  let at = isVersion2
    ? V2_HEADER_BYTES
    : (await reader.read({ offsetBytes: 0x64, lengthBytes: 4, what: 'its header' })).readUInt32BE(0);
  for (let count = 0; count < MAX_EXTENSIONS; count += 1) {
    const what = 'a header extension';
    const head = await reader.read({ offsetBytes: at, lengthBytes: 8, what });
    const type = head.readUInt32BE(0);
    const lengthBytes = head.readUInt32BE(4);
    if (type === EXTENSION.end) return null;
    if (type === EXTENSION.backingFormat && lengthBytes <= MAX_NAME_BYTES) {
      return (await reader.read({ offsetBytes: at + 8, lengthBytes, what })).toString('latin1');
    }
    at += 8 + Math.ceil(lengthBytes / 8) * 8;
  }
  throw damaged(reader, 'it has more header extensions than any image');
}

function damaged({ label }: SliceReader, found: string) {
  return corruptImage({ label, found, remedy: COPY_AGAIN });
}
