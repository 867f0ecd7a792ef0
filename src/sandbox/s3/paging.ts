/** The page of a listing that a request asks for. */
import { invalidArgument } from './refusals.ts';

const MAX_PAGE = 1000;

/** A count from the query; null where it is not given. */
export function readCount(query: URLSearchParams, name: string): number | null {
  const text = query.get(name);
  if (text === null) return null;
  if (!/^\d{1,10}$/.test(text) || Number(text) > 2 ** 31 - 1) {
    throw invalidArgument(`Provided ${name} not an integer or within integer range`, { name, value: text });
  }
  return Number(text);
}

/** S3 caps it silently at a thousand. */
export function readPageSize(query: URLSearchParams, name: string): number {
  return Math.min(readCount(query, name) ?? MAX_PAGE, MAX_PAGE);
}

/** Keys may hold characters that XML cannot: `encoding-type=url` has them percent-encoded, slashes kept. */
export function readKeyEncoding(query: URLSearchParams): (key: string) => string {
  const type = query.get('encoding-type');
  if (type === null) return (key) => key;
  if (type === 'url') return (key) => encodeURIComponent(key).replaceAll('%2F', '/').replaceAll('%20', '+');
  throw invalidArgument('Invalid Encoding Method specified in Request', {
    name: 'encoding-type',
    value: type,
  });
}

/** In the order of UTF-8 bytes, which is not the order of JavaScript's strings. */
export function compareKeys(left: string, right: string): number {
  return Buffer.compare(Buffer.from(left), Buffer.from(right));
}
