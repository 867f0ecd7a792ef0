/** What the operating system said about a file, in the operator's terms. */
import { LandfallError } from '../domain/errors.ts';

/** Errno codes that may pass by themselves: a slow or restarted file server, a busy device, too many open files. */
const PASSING = new Set(['EIO', 'ESTALE', 'EAGAIN', 'EBUSY', 'ETIMEDOUT', 'EMFILE', 'ENFILE', 'EINTR']);

/** Reading `path` failed. A LandfallError passes through as it is. */
export function fileError(path: string, error: unknown): LandfallError {
  if (error instanceof LandfallError) return error;
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
  const context = { path, errno: code };
  if (code === 'ENOENT' || code === 'ENOTDIR') {
    return new LandfallError({
      code: 'image-missing',
      message: `${path} is not there. Put it back, or mount the folder that holds it on this worker.`,
      cause: error,
      context,
    });
  }
  if (code === 'EACCES' || code === 'EPERM') {
    return new LandfallError({
      code: 'image-unreadable',
      message: `${path} may not be read by this user. Grant read access to the file and to each folder above it.`,
      cause: error,
      context,
    });
  }
  const said = error instanceof Error ? error.message : String(error);
  return new LandfallError({
    code: 'image-unreadable',
    message: `Reading ${path} failed: ${said}. Check the disk or share that holds it.`,
    retryable: PASSING.has(code),
    cause: error,
    context,
  });
}
