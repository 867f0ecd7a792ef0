/**
 * By which names the dashboard may be called. A web page of another site can have its own name answered with our
 * address (DNS rebinding), and then talks to us as its own origin; the name in Host gives it away.
 */
import { isIP } from 'node:net';
import { hostname } from 'node:os';

export type HostNames = {
  /** Names beside those of this machine, in lower case. */
  names: readonly string[];
  /** Only whoever is on this machine may ask: without a login an address of ours is as foreign as another's name. */
  isLoopbackOnly: boolean;
};

/** `host`: as in the header, with or without a port. */
export function isOurHost(host: string, { names, isLoopbackOnly }: HostNames): boolean {
  const name = nameOf(host);
  if (name === '') return false;
  if (isLoopbackName(name) || names.includes(name)) return true;
  if (isLoopbackOnly) return false;
  // An address cannot be rebound: only names are looked up.
  return isIP(name) !== 0 || name === hostname().toLowerCase();
}

/** Of this machine by definition, whatever a name server says. */
export function isLoopbackName(host: string): boolean {
  const name = nameOf(host);
  return (
    name === 'localhost' ||
    name.endsWith('.localhost') ||
    name === '::1' ||
    (isIP(name) === 4 && name.startsWith('127.'))
  );
}

/** Without port, brackets and the dot of the root, in lower case; empty where it is no host. */
export function nameOf(host: string): string {
  const bare = isIP(host) === 6 ? `[${host}]` : host;
  const parsed = /[/?#@\\\s]/.test(bare) ? null : URL.parse(`http://${bare}`);
  return parsed === null ? '' : parsed.hostname.replace(/^\[|\]$|\.$/g, '');
}
