import { randomBytes } from 'node:crypto';
import { StorageCRC64Calculator } from '@azure/storage-common';
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { openFold } from '../../../../adapters/targets/azure/crc64-fold.ts';
import { crc64Of, loadCrc64, openCrc64 } from '../../../../adapters/targets/azure/page-crc64.ts';

const POLYNOMIAL = 0xad93d23594c93659n;
const MIB = 2 ** 20;

beforeAll(loadCrc64);

test('the multiple with six terms is one of the polynomial', () => {
  let power = 1n;
  let sum = 0n;
  for (let exponent = 0; exponent <= 13_264; exponent += 1) {
    if ([0, 1200, 4111, 6948, 8294, 13_264].includes(exponent)) sum ^= power;
    power = BigInt.asUintN(64, power << 1n) ^ (power >> 63n === 0n ? 0n : POLYNOMIAL);
  }
  expect(sum).toBe(0n);
});

test("CRC64 is Azure's: CRC-64/NVME, least significant byte first", () => {
  const pieces = [Buffer.from('1234'), Buffer.from('56789')];
  expect(hexOf(crc64Of(pieces))).toBe('8898790a86148bae');
  expect(hexOf(crc64Of([]))).toBe('0000000000000000');
});

describe("is what the storage SDK's calculator says", () => {
  test.each([1, 7, 63, 64, 65, 512, 4970, 13_263, 13_264, 13_265, 65_536, MIB, 4 * MIB])(
    'of %i bytes',
    (lengthBytes) => {
      const bytes = randomBytes(lengthBytes);
      expect(hexOf(crc64Of([bytes]))).toBe(byCalculator([bytes]));
    },
  );

  test('of zeros and of ones', () => {
    for (const byte of [0x00, 0xff]) {
      const bytes = Buffer.alloc(512 * 1024, byte);
      expect(hexOf(crc64Of([bytes]))).toBe(byCalculator([bytes]));
    }
  });

  test('of pieces of any lengths, at any places in memory, of several contents in turns', () => {
    const content = randomBytes(600_000);
    const lengths = fc.array(fc.integer({ min: 0, max: 100_000 }), { maxLength: 6 });
    fc.assert(
      fc.property(lengths, lengths, (left, right) => {
        const sides = [piecesOf(content, left), piecesOf(content, right)] as const;
        const [one, other] = [openCrc64(), openCrc64()];
        for (let turn = 0; turn < 6; turn += 1) {
          one.append(sides[0][turn] ?? Buffer.alloc(0));
          other.append(sides[1][turn] ?? Buffer.alloc(0));
        }
        expect([hexOf(one.digest()), hexOf(other.digest())]).toEqual(sides.map(byCalculator));
      }),
      { numRuns: 60 },
    );
  });
});

test('a host without vectors has the calculator alone', () => {
  const bytes = randomBytes(100_000);
  const crc64 = openCrc64(null);
  crc64.append(bytes);
  expect(hexOf(crc64.digest())).toBe(byCalculator([bytes]));
  expect(openFold()).not.toBeNull();
});

function piecesOf(content: Buffer, lengths: readonly number[]): Buffer[] {
  let at = 0;
  return lengths.map((length) => {
    at += length;
    return content.subarray(at - length, at);
  });
}

function byCalculator(pieces: readonly Buffer[]): string {
  const calculator = new StorageCRC64Calculator();
  for (const piece of pieces) calculator.append(piece, piece.length);
  return hexOf(calculator.final(new Uint8Array(0), 0));
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
