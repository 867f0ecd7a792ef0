/** Clouds hand out screenshots as JPEG. */
import jpeg from 'jpeg-js';
import { PNG } from 'pngjs';

const QUALITY = 80;

export function pngToJpeg(png: Uint8Array): Uint8Array {
  const { width, height, data } = PNG.sync.read(Buffer.from(png));
  return jpeg.encode({ width, height, data }, QUALITY).data;
}
