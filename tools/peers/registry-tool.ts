/** Runs what talks to language registries (`go`, `pip`), and says why where a peer cannot be had. */
import { LandfallError } from '../../src/domain/errors.ts';
import { pickEnvironment, runTool, type ToolOptions } from '../../src/processes/child.ts';

/** Where a peer is put, and who hears what is done for it. */
export type PeerOptions = { cacheFolder: string; signal: AbortSignal; log: (line: string) => void };

/** How a network lets its people reach registries: mirrors, proxies, certificates of its own. */
const NETWORK = [
  'HTTPS_PROXY',
  'HTTP_PROXY',
  'NO_PROXY',
  'https_proxy',
  'http_proxy',
  'no_proxy',
  'SSL_CERT_FILE',
  'SSL_CERT_DIR',
  'REQUESTS_CA_BUNDLE',
  'GOPROXY',
  'GOSUMDB',
  'GONOSUMDB',
  'PIP_CERT',
  'PIP_CONFIG_FILE',
  'PIP_INDEX_URL',
  'PIP_EXTRA_INDEX_URL',
  'PIP_DEFAULT_TIMEOUT',
];

/** Gives its standard output. Throws `tool-failed` or `tool-missing` with the peer's name and what it said. */
export async function runRegistryTool(
  peer: string,
  { environment, ...options }: ToolOptions,
): Promise<string> {
  try {
    const given = { ...pickEnvironment(NETWORK), ...environment };
    return (await runTool({ ...options, environment: given })).stdout;
  } catch (error) {
    if (!(error instanceof LandfallError) || error.code === 'cancelled') throw error;
    throw new LandfallError({
      code: error.code,
      message: `The peer ${peer} cannot be had: ${error.message}. It needs a way to its language's registry (the Go module proxy, PyPI) or to a mirror of it (GOPROXY, PIP_INDEX_URL).`,
      cause: error,
      context: error.context,
    });
  }
}
