/** Where the dashboard listens: `127.0.0.1:8470`, `[::1]:8470`, `0.0.0.0:80`, or a port alone. */
export type ListenAddress = { host: string; port: number };

export const DEFAULT_LISTEN: ListenAddress = { host: '127.0.0.1', port: 8470 };

const HOST_AND_PORT = /^(?:(?:\[([0-9a-fA-F:.]+)\]|([^\s:[\]/]+)):)?(\d{1,5})$/;

/** null: it is none. Port 0: any that is free. */
export function parseListenAddress(text: string): ListenAddress | null {
  const [, six, name, digits] = HOST_AND_PORT.exec(text.trim()) ?? [];
  const port = Number(digits);
  if (digits === undefined || port > 65_535) return null;
  return { host: six ?? name ?? DEFAULT_LISTEN.host, port };
}
