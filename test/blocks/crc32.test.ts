import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { combineCrc32, crc32, crc32FromBase64, crc32ToBase64, crc32ToHex } from '../../src/blocks/crc32.ts';

const CHECK_INPUT = Buffer.from('123456789');
/** The check value of CRC-32/ISO-HDLC in every catalogue of CRCs. */
const CHECK_VALUE = 0xcbf43926;

describe('crc32', () => {
  test('gives the published check value', () => {
    expect(crc32(CHECK_INPUT)).toBe(CHECK_VALUE);
  });

  test('goes on from the checksum of what came before', () => {
    expect(crc32(CHECK_INPUT.subarray(4), crc32(CHECK_INPUT.subarray(0, 4)))).toBe(CHECK_VALUE);
  });
});

describe('combineCrc32', () => {
  test('equals the checksum of the whole, however it is cut', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 12 }), (parts) => {
        const whole = crc32(Buffer.concat(parts));
        expect(combineCrc32(parts.map((part) => ({ crc32: crc32(part), bytes: part.length })))).toBe(whole);
      }),
    );
  });

  test('holds for parts of many megabytes', () => {
    const first = Buffer.alloc(16 * 1024 * 1024 + 3, 0xa5);
    const second = Buffer.alloc(5 * 1024 * 1024, 0x3c);
    const parts = [first, second].map((part) => ({ crc32: crc32(part), bytes: part.length }));
    expect(combineCrc32(parts)).toBe(crc32(second, crc32(first)));
  });

  test('counts lengths beyond 32 bits: 8 GiB of zeros, in one part or in eight', () => {
    const gibibyte = 2 ** 30;
    const mebibyteCrc = crc32(Buffer.alloc(2 ** 20));
    const gibibyteCrc = combineCrc32(Array(1024).fill({ crc32: mebibyteCrc, bytes: 2 ** 20 }));
    const eight = combineCrc32(Array(8).fill({ crc32: gibibyteCrc, bytes: gibibyte }));
    const tail = { crc32: CHECK_VALUE, bytes: CHECK_INPUT.length };
    const inOnePart = combineCrc32([tail, { crc32: eight, bytes: 8 * gibibyte }]);
    const inEight = combineCrc32([tail, ...Array(8).fill({ crc32: gibibyteCrc, bytes: gibibyte })]);
    expect(inOnePart).toBe(inEight);
  });

  test('of nothing is the checksum of nothing', () => {
    expect(combineCrc32([])).toBe(crc32(new Uint8Array()));
  });

  test('refuses a length that is none', () => {
    expect(() => combineCrc32([{ crc32: 1, bytes: -1 }])).toThrow(RangeError);
  });
});

describe('the written forms', () => {
  test('base64 is the big-endian value, as S3 has it, and reads back', () => {
    expect(crc32ToBase64(CHECK_VALUE)).toBe('y/Q5Jg==');
    fc.assert(
      fc.property(fc.nat(0xffffffff), (crc) => {
        expect(crc32FromBase64(crc32ToBase64(crc))).toBe(crc);
      }),
    );
  });

  test('base64 of another length is no CRC-32', () => {
    expect(crc32FromBase64('AAAAAAAAAAA=')).toBeNull();
  });

  test('hexadecimal keeps leading zeros', () => {
    expect(crc32ToHex(0xabc)).toBe('00000abc');
  });
});
