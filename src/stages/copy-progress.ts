/** How far a copy is, in bytes of content that the source says to hold data: holes are neither read nor sent. */
import type { StepContext } from '../domain/ports.ts';

export type CopyProgress = {
  /** So much is held now, from this attempt or an earlier one. It is durable: another attempt will find it held. */
  hold(doneBytes: number): void;
  /** So much is to be held: of a later pass, where it is known late. */
  expect(dataBytes: number): void;
  /** So much turned out to be zeros, which are not copied. */
  leaveOut(bytes: number): void;
  /** All is held. */
  finish(note: string): void;
  doneBytes(): number;
  totalBytes(): number;
};

/** Nothing is reported before it is known what is held already: then the bar starts there and never goes back. */
export function createCopyProgress({
  context,
  diskBytes,
  dataBytes,
  note,
}: {
  context: Pick<StepContext, 'report'>;
  diskBytes: number;
  dataBytes: number;
  note: string;
}): CopyProgress {
  let doneBytes = 0;
  let totalBytes = dataBytes;
  const report = (said = note): void =>
    context.report({ doneBytes, totalBytes, zeroBytes: diskBytes - totalBytes, note: said });
  return {
    hold(bytes) {
      doneBytes = Math.max(doneBytes, bytes);
      // The source's map may tell of more data than when it was first read.
      totalBytes = Math.max(totalBytes, doneBytes);
      report();
    },
    expect(dataBytes) {
      totalBytes = Math.max(doneBytes, dataBytes);
    },
    leaveOut(bytes) {
      totalBytes = Math.max(doneBytes, totalBytes - bytes);
      report();
    },
    finish(said) {
      doneBytes = totalBytes;
      report(said);
    },
    doneBytes: () => doneBytes,
    totalBytes: () => totalBytes,
  };
}
