/** A guest boots from an overlay, so that the disk under it never changes. */
import { resolve } from 'node:path';
import type { QemuFormat } from '../domain/image.ts';
import { runTool } from '../processes/child.ts';

export type OverlayOptions = {
  /** The disk under the overlay. Only ever read, and it must stay as it is while the overlay lives. */
  backing: string;
  /** Always said, never guessed: a guessed format lets a guest name any file of this host as its disk. */
  backingFormat: QemuFormat;
  /** Where the overlay (qcow2) is made. */
  path: string;
  /** Virtual size; that of the backing disk by default. */
  bytes?: number;
  signal?: AbortSignal;
};

export async function createOverlay({
  backing,
  backingFormat,
  path,
  bytes,
  signal,
}: OverlayOptions): Promise<void> {
  const under = ['-b', resolve(backing), '-F', qemuDriver(backingFormat)];
  const size = bytes === undefined ? [] : [String(bytes)];
  await runTool({
    command: 'qemu-img',
    args: ['create', '-q', '-f', 'qcow2', ...under, resolve(path), ...size],
    limits: { addressSpaceBytes: 1024 ** 3, cpuSeconds: 30 },
    ...(signal === undefined ? {} : { signal }),
  });
}

/** QEMU's own name for a format. */
export function qemuDriver(format: QemuFormat): string {
  return format === 'vhd' ? 'vpc' : format;
}
