/** The saved state of an encoder, checked before a file goes on from it. */
import type { z } from 'zod';
import { LandfallError } from '../domain/errors.ts';
import type { JsonObject } from '../domain/json.ts';

/** Throws `internal` where it is not an encoder's for this disk: a file that went on from it would be worthless. */
export function parseSnapshot<State extends { diskBytes: number }>(saved: {
  schema: z.ZodType<State>;
  snapshot: JsonObject;
  diskBytes: number;
}): State {
  const { schema, snapshot, diskBytes } = saved;
  const parsed = schema.safeParse(snapshot);
  if (parsed.success && parsed.data.diskBytes === diskBytes) return parsed.data;
  const found = parsed.success
    ? `it is of a disk of ${parsed.data.diskBytes} bytes`
    : parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('; ');
  throw new LandfallError({
    code: 'internal',
    message: `The upload of a disk of ${diskBytes} bytes cannot go on from its saved state: ${found}. Discard the machine's upload and retry it: it starts from the beginning.`,
    context: { diskBytes },
  });
}
