/**
 * Deflates whole pieces into the format that zlib reads (RFC 1950): by libdeflate where the host has it (Debian's
 * libdeflate0), else by the zlib that is part of Node. Either's output may follow the other's in one file. Runs in worker
 * threads, so it imports little.
 *
 * Grains of a Linux system's files, one core: length beside what qemu-img writes.
 *
 *               level   length    speed
 *   zlib          6                48 MB/s    what qemu-img does
 *   zlib          3     + 4.6 %    98 MB/s
 *   zlib          2     + 5.9 %   110 MB/s
 *   libdeflate    3     + 0.1 %   125 MB/s
 *   libdeflate    2     + 1.1 %   145 MB/s
 *   libdeflate    1     + 5.6 %   195 MB/s
 */
import { createRequire } from 'node:module';
import { constants, deflateSync } from 'node:zlib';

export type DeflaterName = 'libdeflate' | 'zlib';

export type Deflater = Disposable & {
  /**
   * The length of what it wrote to the beginning of `into`. What does not shrink is stored: `into` needs no more than the
   * content, and a sector for each 64 KiB of it. Throws RangeError where it is too short.
   */
  deflate(content: Uint8Array, into: Uint8Array): number;
};

type Libdeflate = {
  open(level: number): unknown;
  close(compressor: unknown): void;
  /** 0 where it does not fit. */
  compress(
    compressor: unknown,
    content: Uint8Array,
    contentBytes: number,
    into: Uint8Array,
    intoBytes: number,
  ): number;
};

/** The name that stays the same as long as the library's functions do. */
const LIBRARY = 'libdeflate.so.0';
const LIBDEFLATE_LEVEL = 2;
const ZLIB_LEVEL = 3;
/** With more memory than the default zlib ends its blocks later: 10 % faster. */
const ZLIB_MEMORY_LEVEL = 9;

let loaded: Libdeflate | null | undefined;

/** The faster of those that the host has. */
export function fastestDeflater(): DeflaterName {
  loaded ??= loadLibdeflate();
  return loaded === null ? 'zlib' : 'libdeflate';
}

/** Throws where the host does not have it. libdeflate's memory is no garbage: dispose. */
export function openDeflater(name: DeflaterName): Deflater {
  switch (name) {
    case 'libdeflate':
      return openLibdeflate();
    case 'zlib':
      return { deflate: deflateByZlib, [Symbol.dispose]: () => {} };
    default:
      throw new TypeError(`no deflater is named ${name satisfies never}`);
  }
}

function openLibdeflate(): Deflater {
  loaded ??= loadLibdeflate();
  if (loaded === null) throw new Error(`the host has no ${LIBRARY}`);
  const library = loaded;
  const compressor = library.open(LIBDEFLATE_LEVEL);
  if (compressor === null) throw new Error('libdeflate got no memory');
  return {
    deflate(content, into) {
      const lengthBytes = library.compress(compressor, content, content.length, into, into.length);
      return lengthBytes === 0 ? failTooShort(into) : lengthBytes;
    },
    [Symbol.dispose]: () => library.close(compressor),
  };
}

/** Not imported: it is a package of native code, which npm leaves out for machines that it was not built for. */
function loadLibdeflate(): Libdeflate | null {
  try {
    const koffi = createRequire(import.meta.url)('koffi') as typeof import('koffi');
    const library = koffi.load(LIBRARY);
    return {
      open: library.func('void *libdeflate_alloc_compressor(int level)'),
      close: library.func('void libdeflate_free_compressor(void *compressor)'),
      compress: library.func(
        'size_t libdeflate_zlib_compress(void *compressor, const void *in, size_t inBytes, void *out, size_t outBytes)',
      ),
    };
  } catch {
    return null;
  }
}

function deflateByZlib(content: Uint8Array, into: Uint8Array): number {
  const writtenBytes = writeByZlib(content, into, ZLIB_LEVEL);
  if (writtenBytes !== null && writtenBytes < content.length) return writtenBytes;
  return writeByZlib(content, into, constants.Z_NO_COMPRESSION) ?? failTooShort(into);
}

/** null where it does not fit. */
function writeByZlib(content: Uint8Array, into: Uint8Array, level: number): number | null {
  // As large as the result may be: one allocation and no copy.
  const chunkSize = Math.max(constants.Z_MIN_CHUNK, into.length);
  const deflated = deflateSync(content, { level, memLevel: ZLIB_MEMORY_LEVEL, chunkSize });
  const { length } = deflated;
  if (length <= into.length) into.set(deflated);
  freeNow(deflated, chunkSize);
  return length <= into.length ? length : null;
}

/**
 * The collector lets some 30 MiB of such buffers pile up in each thread before it sweeps: moving the memory out frees it
 * at once, and leaves the buffer empty. Not where its bytes lie in a pool that others share.
 */
function freeNow({ buffer }: Buffer, chunkSize: number): void {
  if (buffer instanceof ArrayBuffer && buffer.byteLength === chunkSize) buffer.transfer(0);
}

function failTooShort({ length }: Uint8Array): never {
  throw new RangeError(`${length} bytes are too short for what was deflated`);
}
