/**
 * An OVF's manifest (`.mf`) lists the digests of the files that belong to it.
 * OVF specification 2.1 (DSP0243), section 6.2: `SHA256(disk1.vmdk)= 64 hex digits`, one file a line.
 */
import { isBasename } from './ova.ts';
import { COPY_AGAIN, corruptImage, hostileImage } from './refusal.ts';

export type DigestAlgorithm = 'sha1' | 'sha256' | 'sha512';

export type ManifestEntry = {
  file: string;
  algorithm: DigestAlgorithm;
  /** Lower-case hexadecimal. */
  digest: string;
  /** In the manifest, from 1. */
  line: number;
};

export const MAX_MANIFEST_BYTES = 1024 * 1024;

const ENTRY = /^(SHA-?1|SHA-?256|SHA-?512)\s*\((.*)\)\s*=\s*([0-9a-fA-F]+)\s*$/i;
const HEX_DIGITS: Readonly<Record<DigestAlgorithm, number>> = { sha1: 40, sha256: 64, sha512: 128 };

/** `label` names the manifest in messages. Throws `image-corrupt` or `image-hostile` with the line. */
export function parseManifest(text: string, label: string): ManifestEntry[] {
  const entries: ManifestEntry[] = [];
  for (const [index, line] of text
    .replace(/^\uFEFF/, '')
    .split(/\r\n|\n|\r/)
    .entries()) {
    if (line.trim() === '') continue;
    const entry = parseLine({ text: line, line: index + 1, label });
    if (!isRepeated(entry, entries, label)) entries.push(entry);
  }
  return entries;
}

function parseLine({ text, line, label }: { text: string; line: number; label: string }): ManifestEntry {
  const [, name = '', file = '', digest = ''] = ENTRY.exec(text.trim()) ?? [];
  if (name === '') {
    throw corruptImage({
      label,
      found: `line ${line} is no digest: ${JSON.stringify(text.slice(0, 80))}`,
      remedy: `Each line reads like \`SHA256(disk1.vmdk)= 64 hex digits\`. ${COPY_AGAIN}`,
      context: { line },
    });
  }
  const algorithm = name.toLowerCase().replace('-', '') as DigestAlgorithm;
  if (digest.length !== HEX_DIGITS[algorithm]) {
    throw corruptImage({
      label,
      found: `line ${line} gives ${digest.length} hex digits for ${file}, and ${name} has ${HEX_DIGITS[algorithm]}`,
      remedy: COPY_AGAIN,
      context: { line },
    });
  }
  if (!isBasename(file)) {
    throw hostileImage({
      label,
      found: `line ${line} names ${JSON.stringify(file)}, which is no plain file name`,
      remedy: 'Files of an appliance lie beside its manifest. Export it again from its source.',
      context: { line },
    });
  }
  return { file, algorithm, digest: digest.toLowerCase(), line };
}

/** The same line twice says nothing new; two digests for one file contradict each other. */
function isRepeated(entry: ManifestEntry, entries: readonly ManifestEntry[], label: string): boolean {
  const same = entries.find(({ file, algorithm }) => file === entry.file && algorithm === entry.algorithm);
  if (same === undefined) return false;
  if (same.digest === entry.digest) return true;
  throw corruptImage({
    label,
    found: `lines ${same.line} and ${entry.line} give two different digests for ${entry.file}`,
    remedy: 'Export the appliance again from its source.',
    context: { line: entry.line },
  });
}
