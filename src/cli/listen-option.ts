/** Where a command's dashboard listens. */
import { InvalidArgumentError } from 'commander';
import { type ListenAddress, parseListenAddress } from '../dashboard/listen-address.ts';

export function listenAddress(text: string): ListenAddress {
  const address = parseListenAddress(text);
  if (address !== null) return address;
  throw new InvalidArgumentError('Give HOST:PORT, [IPV6]:PORT or PORT.');
}
