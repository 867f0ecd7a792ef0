/** Where peers are kept from one run to the next. */
import { resolve } from 'node:path';
import type { PeerOptions } from '../../tools/peers/registry-tool.ts';

const PEER_CACHE = resolve(import.meta.dirname, '../../.landfall/peers');
/** To fetch and to build; less than the hooks' own limit, so that it is told what took so long. */
const FETCH_TIMEOUT_MS = 14 * 60_000;

export function peerOptions(): PeerOptions {
  return {
    cacheFolder: PEER_CACHE,
    signal: AbortSignal.timeout(FETCH_TIMEOUT_MS),
    log: (line) => process.stderr.write(`${line}\n`),
  };
}
