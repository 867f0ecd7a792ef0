import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import jpeg from 'jpeg-js';
import { PNG } from 'pngjs';
import { describe, expect, it } from 'vitest';
import { bmpToPng, jpegToPng } from '../../src/images/png.ts';

const run = promisify(execFile);
const live = new AbortController().signal;
const MODULE = new URL('../../src/images/png.ts', import.meta.url).href;

/** Left half white, right half blue, as a console is: flat. */
function picture(width: number, height: number): Buffer {
  const data = Buffer.alloc(width * height * 4, 255);
  for (let pixel = 0; pixel < width * height; pixel += 1) {
    if (pixel % width >= width / 2) data.set([0, 0, 255, 255], pixel * 4);
  }
  return jpeg.encode({ width, height, data }, 95).data;
}

describe('bmpToPng', () => {
  it.each([
    ['24 bits, from below', { bits: 24, isTopDown: false }],
    ['24 bits, from above', { bits: 24, isTopDown: true }],
    ['32 bits, from below', { bits: 32, isTopDown: false }],
  ])('keeps a picture of %s', async (_name, shape) => {
    // An odd width: rows of 24 bits are filled up.
    const png = PNG.sync.read(Buffer.from(await bmpToPng(bitmap(5, 3, shape), live)));
    expect([png.width, png.height]).toEqual([5, 3]);
    const at = (x: number, y: number) => [...png.data.subarray((y * 5 + x) * 4, (y * 5 + x) * 4 + 4)];
    expect([at(0, 0), at(4, 0), at(0, 2), at(4, 2)]).toEqual([
      [0, 0, 7, 255],
      [4, 0, 7, 255],
      [0, 2, 7, 255],
      [4, 2, 7, 255],
    ]);
  });

  it.each([
    ['nothing', Buffer.alloc(0)],
    ['text', Buffer.from('no picture at all, and longer than a header of one would be')],
    ['half a picture', bitmap(64, 48).subarray(0, 3000)],
    ['a picture of 60,000 pixels squared', bitmap(4, 4, { saidWidth: 60_000, saidHeight: 60_000 })],
    ['a picture without height', bitmap(4, 4, { saidHeight: 0 })],
    ['a palette', bitmap(4, 4, { saidBits: 8 })],
    ['more bytes than any console has', Buffer.alloc(32 * 2 ** 20 + 1)],
  ])('refuses %s', async (_name, bytes) => {
    await expect(bmpToPng(bytes, live)).rejects.toMatchObject({
      code: 'evidence-unavailable',
      message: expect.stringContaining(`${bytes.length} bytes`),
    });
  });
});

describe('jpegToPng', () => {
  it('keeps the picture', async () => {
    const { width, height, data } = await pixelsOf(picture(640, 400));
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
    ['more bytes than any console has', Buffer.alloc(8 * 2 ** 20 + 1)],
  ])('refuses %s', async (_name, bytes) => {
    await expect(jpegToPng(bytes, live)).rejects.toMatchObject({
      name: 'LandfallError',
      code: 'evidence-unavailable',
      message: expect.stringContaining(`${bytes.length} bytes`),
    });
  });

  it('leaves the event loop free', async () => {
    const large = picture(2048, 1536);
    // Of this thread only, whatever else the machine does meanwhile. Converting takes some 300 ms.
    const before = process.threadCpuUsage();
    await jpegToPng(large, live);
    const { user, system } = process.threadCpuUsage(before);
    expect((user + system) / 1000).toBeLessThan(50);
  });

  it('gives each of several callers its own picture, and leaves their bytes alone', async () => {
    const widths = [64, 128, 192];
    const pictures = widths.map((width) => picture(width, 64));
    const found = await Promise.all([
      ...pictures.map(pixelsOf),
      pixelsOf(Buffer.from('no picture')).catch(() => null),
      ...pictures.map(pixelsOf),
    ]);
    expect(found.map((each) => each?.width)).toEqual([...widths, undefined, ...widths]);
  });

  it('stops when its signal is aborted, and the next is converted', async () => {
    const abort = new AbortController();
    const reason = new Error('stop');
    const first = jpegToPng(picture(2048, 1536), abort.signal);
    const second = jpegToPng(picture(640, 400), abort.signal);
    const third = pixelsOf(picture(320, 200));
    abort.abort(reason);
    await expect(first).rejects.toBe(reason);
    await expect(second).rejects.toBe(reason);
    expect((await third).width).toBe(320);
  });

  it('keeps no process alive, and works where the process goes on', async () => {
    const bytes = picture(2048, 1536).toString('base64');
    const script = `
      const { jpegToPng } = await import(${JSON.stringify(MODULE)});
      let text = '';
      for await (const chunk of process.stdin) text += chunk;
      const { signal } = new AbortController();
      if (process.argv[1] === 'stay') setTimeout(() => {}, 60_000);
      jpegToPng(Buffer.from(text, 'base64'), signal).then(({ length }) => {
        console.log(length > 1000 ? 'converted' : 'nothing');
        process.exit();
      });
      process.on('exit', () => console.log('end'));
    `;
    const start = (mode: string) => {
      const going = run(process.execPath, ['--input-type=module', '-e', script, mode]);
      going.child.stdin?.end(bytes);
      return going;
    };
    expect(await start('leave')).toEqual({ stdout: 'end\n', stderr: '' });
    expect(await start('stay')).toEqual({ stdout: 'converted\nend\n', stderr: '' });
  });
});

async function pixelsOf(bytes: Uint8Array): Promise<PNG> {
  return PNG.sync.read(Buffer.from(await jpegToPng(bytes, live)));
}

function hugePicture(): Buffer {
  const bytes = Buffer.from(picture(16, 16));
  const frame = bytes.indexOf(Buffer.from([0xff, 0xc0]));
  bytes.writeUInt16BE(60_000, frame + 5);
  bytes.writeUInt16BE(60_000, frame + 7);
  return bytes;
}

/** A pixel's red is its column, its green its row. */
function bitmap(
  width: number,
  height: number,
  {
    bits = 24,
    isTopDown = false,
    saidWidth = width,
    saidHeight = isTopDown ? -height : height,
    saidBits = bits,
  }: {
    bits?: number;
    isTopDown?: boolean;
    saidWidth?: number;
    saidHeight?: number;
    saidBits?: number;
  } = {},
): Buffer {
  const rowBytes = Math.ceil((width * bits) / 32) * 4;
  const bmp = Buffer.alloc(54 + rowBytes * height);
  bmp.write('BM', 'latin1');
  bmp.writeUInt32LE(54, 10);
  bmp.writeUInt32LE(40, 14);
  bmp.writeInt32LE(saidWidth, 18);
  bmp.writeInt32LE(saidHeight, 22);
  bmp.writeUInt16LE(1, 26);
  bmp.writeUInt16LE(saidBits, 28);
  for (let y = 0; y < height; y += 1)
    for (let x = 0; x < width; x += 1)
      bmp.set([7, y, x], 54 + (isTopDown ? y : height - 1 - y) * rowBytes + x * (bits / 8));
  return bmp;
}
