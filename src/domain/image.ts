/** An image says where a disk's bytes can be read and how. It holds no secrets and no handles, so records may hold it. */

/** A run of bytes in a file: an OVA's member is one. */
export type FileSlice = {
  /** Absolute path on the image's site. */
  path: string;
  offsetBytes: number;
  /** null: to the end of the file. */
  lengthBytes: number | null;
};

export type QemuFormat = 'raw' | 'qcow2' | 'vmdk' | 'vhd' | 'vhdx';

/** How an image is laid out in files. Every path in it passed the header guard. */
export type ImageLayout =
  | { kind: 'single'; format: QemuFormat; file: FileSlice }
  /** A split or flat VMDK: pieces in order, each a raw slice, a sparse extent (VMDK) or zeros. */
  | { kind: 'pieces'; pieces: readonly ImagePiece[] }
  | { kind: 'blank' };

export type ImagePiece =
  | { kind: 'raw'; bytes: number; file: FileSlice }
  | { kind: 'vmdk-sparse'; bytes: number; file: FileSlice }
  | { kind: 'zero'; bytes: number };

export type Image = {
  /** Only worker pools of this site can read it; null: any. */
  site: string | null;
  /** Virtual size of the disk. */
  bytes: number;
  layout: ImageLayout;
};

/**
 * What identifies an image's content while it is read: inode, size, mtime and ctime of each file; for a
 * domain its state and start marker. Equal strings mean that the source did not change.
 */
export type Fingerprint = string;

/** An image opened for reading in this process: it ends with its owner (`await using`). */
export type OpenImage = AsyncDisposable & {
  /** An NBD URI, for example `nbd+unix:///?socket=/tmp/…`. */
  uri: string;
  bytes: number;
  /**
   * Of an image that a later pass exported: what may have changed since the pass before, ascending, without overlaps;
   * the same each time it is opened. Left out: all of it may have.
   */
  dirtyExtents?(signal: AbortSignal): AsyncIterable<DirtyExtent>;
};

export type DirtyExtent = { offsetBytes: number; lengthBytes: number };

/** The file formats in which a target takes a disk. */
export type Container = 'vmdk-stream-optimized' | 'vhd-fixed' | 'raw';

/** How a disk goes up: as a file, written in order and cut into parts; or as blocks, in any order, zeros left out. */
export type UploadForm = { kind: 'parts'; container: Container } | { kind: 'blocks'; blockBytes: number };

/** What convert found out about an image, so that upload can make what the target wants while it reads. */
export type Prepared = {
  form: UploadForm;
  /** Of the extents that hold data, as the source tells: what is read at most. */
  dataBytes: number;
};
