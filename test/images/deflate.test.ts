import { randomBytes } from 'node:crypto';
import { inflateSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { type DeflaterName, fastestDeflater, openDeflater } from '../../src/images/deflate.ts';

const GRAIN_BYTES = 65_536;
const SECTOR_BYTES = 512;
const text = Buffer.from('the quick brown fox jumps over the lazy dog. '.repeat(1_500)).subarray(
  0,
  GRAIN_BYTES,
);
const noise = randomBytes(GRAIN_BYTES);

describe('fastestDeflater', () => {
  it('is libdeflate, which set-up installs', () => {
    expect(fastestDeflater()).toBe('libdeflate');
  });
});

describe.each(['libdeflate', 'zlib'] as const)('openDeflater of %s', (name) => {
  it.each([
    { what: 'text', content: text },
    { what: 'noise', content: noise },
    { what: 'nothing', content: Buffer.alloc(0) },
    { what: 'a piece in the midst of a buffer', content: text.subarray(1_001, 9_876) },
  ])('writes $what as zlib reads it, and nothing else', ({ content }) => {
    using deflater = openDeflater(name);
    const room = Buffer.alloc(GRAIN_BYTES + SECTOR_BYTES + 8, 0xee);
    const into = room.subarray(4, -4);
    const lengthBytes = deflater.deflate(content, into);
    expect(inflateSync(into.subarray(0, lengthBytes)).equals(content)).toBe(true);
    expect([...room.subarray(0, 4), ...room.subarray(-4)]).toEqual(Array(8).fill(0xee));
  });

  it('makes text short, and noise hardly longer', () => {
    using deflater = openDeflater(name);
    const into = Buffer.alloc(GRAIN_BYTES + SECTOR_BYTES);
    expect(deflater.deflate(text, into)).toBeLessThan(GRAIN_BYTES / 20);
    expect(deflater.deflate(noise, into)).toBeLessThanOrEqual(GRAIN_BYTES + 70);
  });

  it('refuses to write over the end', () => {
    using deflater = openDeflater(name);
    const room = Buffer.alloc(GRAIN_BYTES, 0xee);
    expect(() => deflater.deflate(noise, room.subarray(0, 1_000))).toThrow(RangeError);
    expect(room.subarray(1_000).every((byte) => byte === 0xee)).toBe(true);
  });
});

it('refuses a deflater that is none', () => {
  expect(() => openDeflater('gzip' as DeflaterName)).toThrow('no deflater is named gzip');
});
