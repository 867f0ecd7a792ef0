/** Where disk images lie: on this host, or on that of libvirt. What must be done to images there, whichever it is. */
import type { Fingerprint, Image, OpenImage, QemuFormat } from '../../../src/domain/image.ts';
import type { SliceReader } from '../../../src/images/slice-reader.ts';

/** One file of a chain, which the header guard let pass, and how to read it. */
export type ChainFile = { path: string; format: QemuFormat };

export type ImagePlace = {
  /** Under the same paths on this host? */
  readonly isHere: boolean;
  /** Its own bytes, whatever format it has. Throws `image-missing` or `image-unreadable`. */
  openFile(path: string, signal: AbortSignal): Promise<SliceReader>;
  /** The path without links; what is not there stays as it is. */
  resolveLinks(path: string, signal: AbortSignal): Promise<string>;
  /** Throws `source-changed` where a file is gone. */
  fingerprint(chain: readonly ChainFile[]): Promise<Fingerprint>;
  /**
   * Serves the disk that a chain makes up, from the top on, read-only, every file and format named. The guard must have let
   * it pass just now.
   */
  serve(image: Image, chain: readonly ChainFile[], signal: AbortSignal): Promise<OpenImage>;
};
