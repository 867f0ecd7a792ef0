/** Images under the same paths on this host: libvirt is here, or shares its storage with us. */
import { realpath } from 'node:fs/promises';
import { describeToQemu } from '../../../src/images/block-description.ts';
import { fingerprintFiles } from '../../../src/images/fingerprint.ts';
import { openImageOverNbd } from '../../../src/images/qemu-nbd.ts';
import { openSlice } from '../../../src/images/slice-reader.ts';
import { startTool } from '../../../src/processes/child.ts';
import type { ImagePlace } from './image-place.ts';
import { describeChain, serveChain } from './nbd-server.ts';

const MAX_CLIENTS = 8;
/** As of one image (src/images/qemu-nbd.ts), and 64 files' tables: caches are 32 MiB at most for each. */
const ADDRESS_SPACE_BYTES = 12 * 2 ** 30;
const START_TIMEOUT_MS = 60_000;

export function createLocalImages(): ImagePlace {
  return {
    isHere: true,
    openFile: (path, signal) =>
      openSlice({ slice: { path, offsetBytes: 0, lengthBytes: null }, label: path, signal }),
    resolveLinks: (path) => realpath(path).catch(() => path),
    fingerprint: (chain) => fingerprintFiles(chain.map(({ path }) => path)),
    serve: async (image, chain, signal) => {
      if (chain.length === 1) return await openImageOverNbd(image, signal);
      return await serveChain({
        label: chain[0]?.path ?? '',
        start: (socketPath) =>
          startTool({
            command: 'qemu-nbd',
            args: [
              '--read-only',
              '--persistent',
              `--shared=${MAX_CLIENTS}`,
              `--socket=${socketPath}`,
              describeToQemu(describeChain(chain)),
            ],
            signal,
            limits: { addressSpaceBytes: ADDRESS_SPACE_BYTES },
            environment: { MALLOC_ARENA_MAX: '2' },
          }),
        startTimeoutMs: START_TIMEOUT_MS,
        signal,
      });
    },
  };
}
