/** Where somebody may be led on to: paths of our own. A link to us must not end on somebody else's page. */
export function localPath(to: string, origin: string): string {
  const parsed = URL.parse(to, origin);
  if (parsed === null || parsed.origin !== origin) return '/';
  // `/.//host` is a path of ours, and what is left of it somebody else's address.
  return `${parsed.pathname.replace(/^\/+/, '/')}${parsed.search}${parsed.hash}`;
}
