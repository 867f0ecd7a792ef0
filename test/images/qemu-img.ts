/** What qemu-img says of an image, and whether two hold the same bytes: the judge of what Landfall serves and makes. */
import type { FileSlice, QemuFormat } from '../../src/domain/image.ts';
import { describeSingle, describeToQemu } from '../../src/images/block-description.ts';
import { runTool, tryTool } from '../../src/processes/child.ts';

/** An NBD export on a unix socket (raw bytes), or an image. */
export type Readable = { uri: string } | { format: QemuFormat; file: FileSlice };

export async function imageInfo(request: {
  image: Readable;
  signal: AbortSignal;
}): Promise<{ format: string; bytes: number }> {
  const { image, signal } = request;
  const args = ['info', '--output=json', toQemu(image)];
  const { stdout } = await runTool({ command: 'qemu-img', args, signal });
  const { format, 'virtual-size': bytes } = JSON.parse(stdout) as { format: string; 'virtual-size': number };
  return { format, bytes };
}

/** A disk that goes on with zeros equals one that ends earlier. */
export async function compareImages(request: {
  left: Readable;
  right: Readable;
  signal: AbortSignal;
}): Promise<boolean> {
  const { left, right, signal } = request;
  const args = ['compare', toQemu(left), toQemu(right)];
  const { exitCode, stderr } = await tryTool({ command: 'qemu-img', args, signal });
  if (exitCode > 1 || exitCode < 0) throw new Error(`qemu-img ${args.join(' ')}: ${stderr}`);
  return exitCode === 0;
}

function toQemu(image: Readable): string {
  if (!('uri' in image)) return describeToQemu(describeSingle(image));
  const path = new URL(image.uri).searchParams.get('socket');
  return describeToQemu({ driver: 'raw', file: { driver: 'nbd', server: { type: 'unix', path } } });
}
