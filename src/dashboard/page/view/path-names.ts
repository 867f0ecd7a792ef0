/**
 * Names in the page's address. The router decodes them as if they were an address (`%3D` and `%2F` stay), which is no way
 * back to a name with such characters in it: names are read from the address as the browser has it.
 */

/** The name at this place of `/runs/ID/machines/NAME`: 1 is `runs`. */
export function nameAt(pathname: string, place: number): string {
  const part = pathname.split('/')[place] ?? '';
  try {
    return decodeURIComponent(part);
  } catch {
    // Typed by hand: a `%` that begins nothing.
    return part;
  }
}
