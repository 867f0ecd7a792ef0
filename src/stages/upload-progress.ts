/** How far an upload is, in bytes of content that the source says to hold data: holes are neither read nor sent. */
import type { StepContext } from '../domain/ports.ts';

export type UploadProgress = {
  /** An earlier attempt came so far. */
  resume(doneBytes: number): void;
  /** So much is held now, from the first byte on. */
  hold(doneBytes: number): void;
  /** So much more is held now. */
  add(bytes: number): void;
  /** So much turned out to be zeros, which are not sent. */
  leaveOut(bytes: number): void;
  doneBytes(): number;
  totalBytes(): number;
};

/** Nothing is reported before it is known what the target holds: then the bar starts there and never goes back. */
export function createUploadProgress({
  context,
  diskBytes,
  dataBytes,
}: {
  context: Pick<StepContext, 'report'>;
  diskBytes: number;
  dataBytes: number;
}): UploadProgress {
  let doneBytes = 0;
  let totalBytes = dataBytes;
  const report = (): void =>
    context.report({ doneBytes, totalBytes, zeroBytes: diskBytes - totalBytes, note: 'uploading' });
  const hold = (bytes: number): void => {
    doneBytes = Math.max(doneBytes, bytes);
    // The source's map may tell of more data than when it was first read.
    totalBytes = Math.max(totalBytes, doneBytes);
    report();
  };
  return {
    resume: hold,
    hold,
    add: (bytes) => hold(doneBytes + bytes),
    leaveOut: (bytes) => {
      totalBytes = Math.max(doneBytes, totalBytes - bytes);
      report();
    },
    doneBytes: () => doneBytes,
    totalBytes: () => totalBytes,
  };
}
