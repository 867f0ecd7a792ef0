/** A site's name as the command line takes it: each that a wave may name. */
import { InvalidArgumentError } from 'commander';
import { nameSchema } from '../domain/name.ts';

export function siteName(text: string): string {
  const parsed = nameSchema.safeParse(text);
  if (parsed.success) return parsed.data;
  throw new InvalidArgumentError(
    `A site, such as dc1, is what \`source: site\` of a wave says: it ${parsed.error.issues[0]?.message ?? 'is no name'}.`,
  );
}
