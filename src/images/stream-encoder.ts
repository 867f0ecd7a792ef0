/** The encoder for each container that can be made while its disk is read, and how long the file may become. */
import { randomUUID } from 'node:crypto';
import type { StreamEncoder } from '../blocks/stream-encoder.ts';
import type { Container } from '../domain/image.ts';
import type { JsonObject } from '../domain/json.ts';
import { createFlatEncoder } from './flat-encoder.ts';
import { VHD_FOOTER_BYTES, vhdDiskBytes, vhdFooter } from './vhd-footer.ts';
import { createVmdkEncoder, maxVmdkBytes } from './vmdk-encoder.ts';

export type StreamEncoderOptions = {
  container: Container;
  diskBytes: number;
  /** Goes on where another encoder of this disk was cut. Throws `internal` where it is not of this disk. */
  snapshot?: JsonObject;
  /** The ids inside the file follow from it; two files of one identity have equal ids. Default: a random one. */
  identity?: string;
};

/** Not for several files at once: it is one file's. */
export function createStreamEncoder(options: StreamEncoderOptions): StreamEncoder {
  const { container, diskBytes, identity = randomUUID() } = options;
  const from = options.snapshot === undefined ? {} : { snapshot: options.snapshot };
  switch (container) {
    case 'vmdk-stream-optimized':
      return createVmdkEncoder({ diskBytes, identity, ...from });
    case 'vhd-fixed': {
      const footer = vhdFooter({ diskBytes, identity });
      return createFlatEncoder({
        container,
        diskBytes,
        paddedBytes: vhdDiskBytes(diskBytes),
        footer,
        ...from,
      });
    }
    case 'raw':
      return createFlatEncoder({ container, diskBytes, paddedBytes: diskBytes, footer: NOTHING, ...from });
    default:
      return container satisfies never;
  }
}

/** No file of this disk is longer, whatever is in it. `dataBytes` are those of all blocks that may hold data. */
export function maxFileBytes(file: { container: Container; diskBytes: number; dataBytes: number }): number {
  const { container, diskBytes } = file;
  switch (container) {
    case 'vmdk-stream-optimized':
      return maxVmdkBytes(file);
    case 'vhd-fixed':
      return vhdDiskBytes(diskBytes) + VHD_FOOTER_BYTES;
    case 'raw':
      return diskBytes;
    default:
      return container satisfies never;
  }
}

const NOTHING = new Uint8Array(0);
