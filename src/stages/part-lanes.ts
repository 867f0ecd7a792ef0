/**
 * Lanes send parts: each reads, digests and sends one after the other from a buffer of its own.
 *
 * Memory: partBytes × lanes, with at most 4 lanes and at most 512 MiB unless a single part is larger.
 */
import type { FileParts, PartDigest } from '../blocks/file-parts.ts';
import type { Clock, UploadSink } from '../domain/ports.ts';

const LANES = 4;
const LANE_MEMORY_BYTES = 512 * 1024 * 1024;
/** How much a crash may cost: parts acknowledged since the last save are read again (not sent again) for their digests. */
const SAVE_EVERY_MS = 1_000;

export type PartsToSend = {
  parts: FileParts;
  numbers: readonly number[];
  sink: Pick<UploadSink, 'writePart'>;
  clock: Clock;
  signal: AbortSignal;
  /** The target acknowledged this part. */
  onHeld: (number: number, digest: PartDigest) => void;
  /** Makes durable what was acknowledged. */
  save: () => Promise<void>;
};

/** The first failure stops all lanes and is thrown when they stand still; what was acknowledged until then is saved. */
export async function sendParts(send: PartsToSend): Promise<void> {
  const failed = new AbortController();
  const queue = send.numbers.values();
  const shared = { ...send, queue, signal: AbortSignal.any([send.signal, failed.signal]) };
  const saveSometimes = throttleSave(send);
  const runs = Array.from({ length: laneCount(send) }, () =>
    runLane(shared, saveSometimes).catch((error: unknown) => failed.abort(error)),
  );
  await Promise.all(runs);
  if (!failed.signal.aborted) return send.save();
  await send.save().catch(() => {}); // what stopped the lanes is the failure to tell
  send.signal.throwIfAborted();
  throw failed.signal.reason;
}

async function runLane(
  { parts, queue, sink, signal, onHeld }: PartsToSend & { queue: Iterable<number> },
  saveSometimes: () => Promise<void>,
): Promise<void> {
  const buffer = Buffer.allocUnsafeSlow(parts.lengthOf(1));
  for (const number of queue) {
    const { bytes, digest } = await parts.read({ number, buffer, signal });
    await sink.writePart({ number, bytes, crc32: digest.crc32 }, signal);
    onHeld(number, digest);
    await saveSometimes();
  }
}

function laneCount({ parts, numbers }: PartsToSend): number {
  return Math.min(LANES, numbers.length, Math.max(1, Math.floor(LANE_MEMORY_BYTES / parts.partBytes)));
}

function throttleSave({ clock, save }: PartsToSend): () => Promise<void> {
  let savedMs = clock.monotonicMs();
  return async () => {
    if (clock.monotonicMs() - savedMs < SAVE_EVERY_MS) return;
    savedMs = clock.monotonicMs();
    await save();
  };
}
