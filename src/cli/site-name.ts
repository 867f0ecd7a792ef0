/** A site's name as the command line takes it: it becomes part of the names of queues, in which `:` is not allowed. */
import { InvalidArgumentError } from 'commander';

const SITE = /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$/i;

export function siteName(text: string): string {
  if (SITE.test(text)) return text;
  throw new InvalidArgumentError(
    'A site is letters, digits and -, such as dc1, as `source: site` of a wave says.',
  );
}
