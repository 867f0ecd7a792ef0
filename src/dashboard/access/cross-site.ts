/**
 * Which requests a browser sends because a page of somebody else wanted it. Sec-Fetch-Site tells, where a browser sends
 * it (over TLS and on localhost); Origin goes with every POST. Another port of localhost is `same-site`, and as foreign.
 * https://www.w3.org/TR/fetch-metadata/ https://fetch.spec.whatwg.org/#origin-header
 */

export type RequestFacts = {
  method: string;
  headers: Readonly<Record<string, string | string[] | undefined>>;
  /** As the browser knows it, with its port. */
  host: string;
};

const SAFE_METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS']);

/** Why it is refused; null: it may pass. `ownOrigin`: the address that people type, where it is known. */
export function judgeSite({ method, headers, host }: RequestFacts, ownOrigin: string | null): string | null {
  const isForeign = isFromElsewhere(headers);
  if (SAFE_METHODS.has(method)) {
    // Links from elsewhere lead here, also a login's way back; what a foreign page loads or frames does not.
    const isNavigation = headers['sec-fetch-mode'] === 'navigate' && headers['sec-fetch-dest'] === 'document';
    return isForeign && !isNavigation ? 'a page of another site asked for it' : null;
  }
  if (isForeign) return 'a page of another site sent it';
  const { origin } = headers;
  if (origin === undefined) return null;
  if (typeof origin === 'string' && isOwn(origin, { host, ownOrigin })) return null;
  return `it comes from ${String(origin)}, not from the dashboard's own page`;
}

/** By a browser's own word; false where it says nothing. */
export function isFromElsewhere(headers: RequestFacts['headers']): boolean {
  const site = headers['sec-fetch-site'];
  return site !== undefined && site !== 'same-origin' && site !== 'none';
}

/** The scheme is left to Sec-Fetch-Site: behind a proxy we do not know it. */
function isOwn(origin: string, { host, ownOrigin }: { host: string; ownOrigin: string | null }): boolean {
  if (origin === ownOrigin) return true;
  const parsed = URL.parse(origin);
  if (parsed === null || parsed.host === '') return false;
  return parsed.host === URL.parse(`${parsed.protocol}//${host}`)?.host;
}
