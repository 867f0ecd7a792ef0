import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createMissing } from '../../src/blocks/nbd-missing.ts';

const violation = expect.objectContaining({ name: 'NbdViolation' });

describe('createMissing', () => {
  it('is empty after exactly the pieces of the whole, in any order, and not before', () => {
    const cuts = fc.uniqueArray(fc.integer({ min: 1, max: 9_999 }), { maxLength: 60 });
    fc.assert(
      fc.property(cuts, fc.infiniteStream(fc.nat()), fc.nat(2 ** 45), (places, order, start) => {
        const sorted = [0, ...places.sort((a, b) => a - b), 10_000];
        const pieces = sorted.slice(1).map((end, index) => ({
          offsetBytes: start + (sorted[index] ?? 0),
          lengthBytes: end - (sorted[index] ?? 0),
        }));
        const missing = createMissing({ offsetBytes: start, lengthBytes: 10_000 });
        while (pieces.length > 0) {
          expect(missing.isEmpty).toBe(false);
          const [piece] = pieces.splice(order.next().value % pieces.length, 1);
          if (piece === undefined) return;
          missing.take(piece);
          expect(() => missing.take(piece)).toThrow(violation);
        }
        expect(missing.isEmpty).toBe(true);
      }),
    );
  });

  it.each([
    ['before', 99, 10],
    ['after', 195, 6],
    ['around', 90, 200],
    ['of nothing', 150, 0],
    ['over what was taken', 115, 10],
  ])('refuses a span %s', (_where, offsetBytes, lengthBytes) => {
    const missing = createMissing({ offsetBytes: 100, lengthBytes: 100 });
    missing.take({ offsetBytes: 120, lengthBytes: 10 });
    expect(() => missing.take({ offsetBytes, lengthBytes })).toThrow(violation);
  });

  it('refuses a reply in crumbs', () => {
    const missing = createMissing({ offsetBytes: 0, lengthBytes: 2 ** 20 });
    const crumble = () => {
      for (let offsetBytes = 1; offsetBytes < 2 ** 20; offsetBytes += 2)
        missing.take({ offsetBytes, lengthBytes: 1 });
    };
    expect(crumble).toThrow('too many pieces');
  });
});
