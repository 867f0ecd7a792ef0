/** Files with known content, the same on every machine: what a guest hashes to prove that its bytes arrived. */
import { createCipheriv, createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

export type ContentFile = { name: string; bytes: Buffer; sha256: string };

const MIB = 1024 * 1024;

/** Bytes that do not compress: the key stream of AES-CTR, seeded by the name. */
export function randomContent(name: string, lengthBytes: number): ContentFile {
  const seed = createHash('sha256').update(name).digest();
  const cipher = createCipheriv('aes-128-ctr', seed.subarray(0, 16), seed.subarray(16));
  return contentFile(name, cipher.update(Buffer.alloc(lengthBytes)));
}

/** Text that compresses well, as most disks hold it. */
export function textContent(name: string, lengthBytes: number): ContentFile {
  const lines: string[] = [];
  for (let length = 0, count = 1; length < lengthBytes; count++) {
    const line = `${name} line ${count}: ${count % 7} items sold to customer ${(count * 7919) % 100_003}\n`;
    lines.push(line);
    length += line.length;
  }
  return contentFile(name, Buffer.from(lines.join('')).subarray(0, lengthBytes));
}

/** Noise, text and zeros in turns of 1 MiB. */
export function mixedContent(name: string, lengthBytes: number): ContentFile {
  const noise = randomContent(name, lengthBytes).bytes;
  const text = textContent(name, lengthBytes).bytes;
  for (let offset = 0; offset < lengthBytes; offset += MIB) {
    const turn = (offset / MIB) % 3;
    if (turn === 1) text.copy(noise, offset, offset, offset + MIB);
    if (turn === 2) noise.fill(0, offset, offset + MIB);
  }
  return contentFile(name, noise);
}

export async function writeContent(folder: string, files: readonly ContentFile[]): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (const { name, bytes } of files) await writeFile(join(folder, name), bytes);
}

function contentFile(name: string, bytes: Buffer): ContentFile {
  return { name, bytes, sha256: createHash('sha256').update(bytes).digest('hex') };
}
