/** Names of waves, machines and groups. */
import { z } from 'zod';

const MAX_NAME_LENGTH = 63;

/** Names end up in tags, file names, object keys and on command lines: what is allowed is what all of those take. */
export const nameSchema = z
  .string()
  .regex(
    new RegExp(`^[A-Za-z0-9][A-Za-z0-9_-]{0,${MAX_NAME_LENGTH - 1}}$`),
    `must be 1 to ${MAX_NAME_LENGTH} letters, digits, - or _ that begin with a letter or digit, because it becomes part of tags, file names and object keys`,
  );
