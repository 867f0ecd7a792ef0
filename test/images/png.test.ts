import jpeg from 'jpeg-js';
import { PNG } from 'pngjs';
import { describe, expect, it } from 'vitest';
import { jpegToPng } from '../../src/images/png.ts';

/** Left half white, right half blue, as a console is: flat. */
function picture(width: number, height: number): Buffer {
  const data = Buffer.alloc(width * height * 4, 255);
  for (let pixel = 0; pixel < width * height; pixel += 1) {
    if (pixel % width >= width / 2) data.set([0, 0, 255, 255], pixel * 4);
  }
  return jpeg.encode({ width, height, data }, 95).data;
}

describe('jpegToPng', () => {
  it('keeps the picture', () => {
    const { width, height, data } = PNG.sync.read(Buffer.from(jpegToPng(picture(640, 400))));
    expect([width, height]).toEqual([640, 400]);
    const at = (x: number, y: number) => [...data.subarray((y * width + x) * 4, (y * width + x) * 4 + 4)];
    for (const [channel, value] of at(10, 200).entries())
      expect(Math.abs(value - 255), `white ${channel}`).toBeLessThan(4);
    const [red = 255, green = 255, blue = 0] = at(630, 200);
    expect(red).toBeLessThan(8);
    expect(green).toBeLessThan(8);
    expect(blue).toBeGreaterThan(247);
  });

  it.each([
    ['nothing', Buffer.alloc(0)],
    ['text', Buffer.from('no picture')],
    ['half a picture', picture(640, 400).subarray(0, 300)],
    ['a picture of 60,000 pixels squared', hugePicture()],
  ])('refuses %s', (_name, bytes) => {
    expect(() => jpegToPng(bytes)).toThrow(expect.objectContaining({ code: 'evidence-unavailable' }));
  });
});

function hugePicture(): Buffer {
  const bytes = Buffer.from(picture(16, 16));
  const frame = bytes.indexOf(Buffer.from([0xff, 0xc0]));
  bytes.writeUInt16BE(60_000, frame + 5);
  bytes.writeUInt16BE(60_000, frame + 7);
  return bytes;
}
