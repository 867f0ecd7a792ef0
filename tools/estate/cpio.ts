/** A cpio archive in the "newc" form, which the kernel unpacks as its first root (Documentation/driver-api/early-userspace/buffer-format). */

export type CpioEntry =
  | { kind: 'folder'; path: string }
  | { kind: 'file'; path: string; bytes: Uint8Array; isExecutable?: boolean }
  | { kind: 'link'; path: string; to: string }
  | { kind: 'character-device'; path: string; major: number; minor: number };

export function packCpio(entries: readonly CpioEntry[]): Buffer {
  const members = entries.map((entry, index) => packMember(describe(entry), index + 1));
  return Buffer.concat([...members, packMember({ path: 'TRAILER!!!', mode: 0, data: EMPTY }, 0)]);
}

type Member = { path: string; mode: number; data: Uint8Array; major?: number; minor?: number };

const EMPTY = new Uint8Array();

function describe(entry: CpioEntry): Member {
  const { path } = entry;
  switch (entry.kind) {
    case 'folder':
      return { path, mode: 0o040755, data: EMPTY };
    case 'file':
      return { path, mode: entry.isExecutable ? 0o100755 : 0o100644, data: entry.bytes };
    case 'link':
      return { path, mode: 0o120777, data: Buffer.from(entry.to) };
    case 'character-device':
      return { path, mode: 0o020600, data: EMPTY, major: entry.major, minor: entry.minor };
    default:
      throw new TypeError(`no such entry: ${JSON.stringify(entry satisfies never)}`);
  }
}

function packMember({ path, mode, data, major = 0, minor = 0 }: Member, inode: number): Buffer {
  const name = Buffer.from(`${path}\0`);
  // inode, mode, uid, gid, links, mtime, size, device (2), special device (2), name's length, checksum
  const fields = [inode, mode, 0, 0, 1, 0, data.byteLength, 0, 0, major, minor, name.byteLength, 0];
  const digits = fields.map((field) => field.toString(16).padStart(8, '0')).join('');
  return padded(Buffer.concat([padded(Buffer.concat([Buffer.from(`070701${digits}`), name])), data]));
}

/** Header and data each end on a multiple of four bytes. */
function padded(bytes: Buffer): Buffer {
  return Buffer.concat([bytes, Buffer.alloc(-bytes.byteLength & 3)]);
}
