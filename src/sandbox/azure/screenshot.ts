/** Boot diagnostics hand out screenshots as BMP: 24 bits a pixel, rows from below, each filled up to four bytes. */
import { PNG } from 'pngjs';

const HEADER_BYTES = 54;
const PIXEL_BYTES = 3;

export function pngToBmp(png: Uint8Array): Buffer {
  const { width, height, data } = PNG.sync.read(Buffer.from(png));
  const rowBytes = Math.ceil((width * PIXEL_BYTES) / 4) * 4;
  const bmp = Buffer.alloc(HEADER_BYTES + rowBytes * height);
  bmp.write('BM', 'latin1');
  bmp.writeUInt32LE(bmp.length, 2);
  bmp.writeUInt32LE(HEADER_BYTES, 10);
  bmp.writeUInt32LE(HEADER_BYTES - 14, 14);
  bmp.writeInt32LE(width, 18);
  bmp.writeInt32LE(height, 22);
  bmp.writeUInt16LE(1, 26);
  bmp.writeUInt16LE(PIXEL_BYTES * 8, 28);
  bmp.writeUInt32LE(rowBytes * height, 34);
  for (let y = 0; y < height; y++) {
    let to = HEADER_BYTES + (height - 1 - y) * rowBytes;
    for (let from = y * width * 4; from < (y + 1) * width * 4; from += 4, to += PIXEL_BYTES) {
      bmp[to] = data[from + 2] ?? 0;
      bmp[to + 1] = data[from + 1] ?? 0;
      bmp[to + 2] = data[from] ?? 0;
    }
  }
  return bmp;
}
