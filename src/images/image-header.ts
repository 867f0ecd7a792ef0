/** What the header guard learned of an image that it let pass. */
import type { QemuFormat } from '../domain/image.ts';

export type ImageHeader = {
  format: QemuFormat;
  /** Virtual size of the disk. */
  bytes: number;
  /** null for formats that know none (raw, qcow2). */
  subformat: ImageSubformat | null;
};

export type ImageSubformat = 'monolithicSparse' | 'streamOptimized' | 'fixed' | 'dynamic';
