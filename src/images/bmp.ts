/**
 * Windows bitmaps as Azure hands out screenshots: uncompressed, 24 or 32 bits a pixel. Others are refused.
 * https://learn.microsoft.com/windows/win32/gdi/bitmap-storage
 */

export type Picture = { width: number; height: number; data: Uint8Array };

/** BITMAPFILEHEADER and BITMAPINFOHEADER. */
const HEADER_BYTES = 14 + 40;
/** BI_RGB, and BI_BITFIELDS, whose masks are then the same in every 32-bit picture that is met. */
const UNCOMPRESSED = new Set([0, 3]);
const DEPTHS = new Set([24, 32]);

/** As RGBA, opaque: consoles leave the fourth byte as it is. Throws a RangeError on what it does not take. */
export function decodeBmp(bytes: Uint8Array, { maxPixels }: { maxPixels: number }): Picture {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < HEADER_BYTES || view.getUint16(0) !== 0x424d) throw new RangeError('it is no bitmap');
  const offset = view.getUint32(10, true);
  const width = view.getInt32(18, true);
  const signedHeight = view.getInt32(22, true);
  const bits = view.getUint16(28, true);
  const compression = view.getUint32(30, true);
  const height = Math.abs(signedHeight);
  if (!DEPTHS.has(bits) || !UNCOMPRESSED.has(compression))
    throw new RangeError(`it has ${bits} bits a pixel, compression ${compression}`);
  if (width < 1 || height < 1 || width * height > maxPixels)
    throw new RangeError(`it has ${width} × ${height} pixels`);
  const pixelBytes = bits / 8;
  // Each row is filled up to four bytes.
  const rowBytes = Math.ceil((width * pixelBytes) / 4) * 4;
  if (offset < HEADER_BYTES || offset + rowBytes * height > bytes.length)
    throw new RangeError('it is cut short');
  const data = new Uint8Array(width * height * 4);
  for (let row = 0; row < height; row += 1) {
    // A positive height counts from below.
    const y = signedHeight > 0 ? height - 1 - row : row;
    let from = offset + row * rowBytes;
    const end = (y + 1) * width * 4;
    for (let to = y * width * 4; to < end; to += 4, from += pixelBytes) {
      data[to] = bytes[from + 2] as number;
      data[to + 1] = bytes[from + 1] as number;
      data[to + 2] = bytes[from] as number;
      data[to + 3] = 255;
    }
  }
  return { width, height, data };
}
