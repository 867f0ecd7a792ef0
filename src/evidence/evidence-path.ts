/** Paths in the evidence store: relative, with `/`, and never out of it. */
import { LandfallError } from '../domain/errors.ts';

/** What file systems (255 bytes a name) and S3 (1024 bytes a key, prefix included) both take. */
const MAX_NAME_BYTES = 200;
const MAX_PATH_BYTES = 800;

/** Throws `internal`: paths are made by Landfall, so a bad one is a defect, and it must not become a file. */
export function checkEvidencePath(path: string): string {
  const names = path.split('/');
  const isGood =
    Buffer.byteLength(path) <= MAX_PATH_BYTES &&
    !path.includes('\0') &&
    !path.includes('\\') &&
    names.every(isName);
  if (isGood) return path;
  throw new LandfallError({
    code: 'internal',
    message: `${JSON.stringify(path)} is no path in the evidence store: it must be relative, with / between names, without "." or "..".`,
  });
}

/** What a listing may begin with: a path, or the beginning of one; '' is everything. */
export function checkEvidencePrefix(prefix: string): string {
  if (prefix !== '') checkEvidencePath(prefix.replace(/\/$/, ''));
  return prefix;
}

function isName(name: string): boolean {
  return name !== '' && name !== '.' && name !== '..' && Buffer.byteLength(name) <= MAX_NAME_BYTES;
}
