/** Reads descriptors and manifests whole: texts whose honest size is known. */
import type { FileSlice } from '../domain/image.ts';
import { hostileImage } from './refusal.ts';
import { openSlice } from './slice-reader.ts';

/** Throws `image-hostile` beyond `limitBytes`, and what opening may throw. */
export async function readSmallFile(request: {
  slice: FileSlice;
  label: string;
  limitBytes: number;
  signal: AbortSignal;
}): Promise<Buffer> {
  const { slice, label, limitBytes, signal } = request;
  await using reader = await openSlice({ slice, label, signal });
  const { lengthBytes } = reader;
  if (lengthBytes > limitBytes) {
    throw hostileImage({
      label,
      found: `it has ${lengthBytes} bytes, and a file of its kind at most ${limitBytes}`,
      remedy: 'Find out who made this appliance, or export it again from its source.',
      context: { lengthBytes, limitBytes },
    });
  }
  return await reader.read({ offsetBytes: 0, lengthBytes, what: 'its text' });
}
