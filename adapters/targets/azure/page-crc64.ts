/**
 * CRC64 as Azure takes it: CRC-64/NVME, least significant byte first. Bytes are folded to 13 KB, and the storage SDK's own
 * calculator has the last word: it needs 1 s a GiB for all of them, on the event loop.
 */
import { StorageCRC64Calculator } from '@azure/storage-common';
import { FOLD_BYTES, FOLD_STEP_BYTES, type Fold, openFold, unfoldWindow } from './crc64-fold.ts';

export type Crc64 = {
  append(bytes: Uint8Array): void;
  /** Eight bytes. Afterwards it is of no use. */
  digest(): Uint8Array;
};

const NOTHING = new Uint8Array(0);
/** The checksum's first state: ones, as if the first eight bytes were inverted. */
const INVERTED_BYTES = 8;

/** Of all checksums in turn: bytes are in its memory only while they are folded. */
let fold: Fold | null = null;

/** Before anything else here. */
export async function loadCrc64(): Promise<void> {
  await StorageCRC64Calculator.init();
  fold ??= openFold();
}

/** Of the pieces, one after the other. */
export function crc64Of(pieces: readonly Uint8Array[]): Uint8Array {
  const crc64 = openCrc64();
  for (const piece of pieces) crc64.append(piece);
  return crc64.digest();
}

/** `by`: null for the calculator alone. */
export function openCrc64(by: Fold | null = fold): Crc64 {
  return by === null ? openCalculator() : openFolded(by);
}

function openCalculator(): Crc64 {
  const calculator = new StorageCRC64Calculator();
  return {
    append: (bytes) => calculator.append(bytes, bytes.length),
    digest: () => calculator.final(NOTHING, 0),
  };
}

function openFolded({ memory, fold: foldBytes }: Fold): Crc64 {
  /** The window, and after it the bytes that make no whole step yet. */
  const held = Buffer.alloc(FOLD_BYTES + FOLD_STEP_BYTES);
  let heldBytes = FOLD_BYTES;
  let isBegun = false;

  const take = (bytes: Uint8Array): void => {
    memory.set(held);
    memory.set(bytes, heldBytes);
    const endAt = heldBytes + bytes.length;
    const foldedBytes = Math.floor((endAt - FOLD_BYTES) / FOLD_STEP_BYTES) * FOLD_STEP_BYTES;
    if (foldedBytes > 0) {
      if (!isBegun) invert(memory.subarray(FOLD_BYTES));
      isBegun = true;
      foldBytes(foldedBytes);
    }
    held.set(memory.subarray(foldedBytes, endAt));
    heldBytes = endAt - foldedBytes;
  };
  return {
    append(bytes) {
      const atOnce = memory.length - held.length;
      for (let at = 0; at < bytes.length; at += atOnce) take(bytes.subarray(at, at + atOnce));
    },
    digest() {
      const rest = openCalculator();
      if (isBegun) {
        const window = unfoldWindow(held);
        // The calculator begins with ones as well.
        invert(window);
        rest.append(window);
      }
      rest.append(held.subarray(FOLD_BYTES, heldBytes));
      return rest.digest();
    },
  };
}

function invert(bytes: Uint8Array): void {
  for (let at = 0; at < INVERTED_BYTES; at += 1) bytes[at] = 0xff ^ (bytes[at] as number);
}
