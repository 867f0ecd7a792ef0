import { expect, test } from 'vitest';
import { placeOfAddress } from '../../src/domain/ip-range.ts';

test.each([
  ['10.0.1.4', 'usable'],
  ['10.0.1.254', 'usable'],
  ['10.0.1.0', 'reserved'],
  ['10.0.1.3', 'reserved'],
  ['10.0.1.255', 'reserved'],
  ['10.0.0.255', 'outside'],
  ['10.0.2.0', 'outside'],
])('%s in 10.0.1.0/24 is %s', (address, place) => {
  expect(placeOfAddress(address, '10.0.1.0/24')).toBe(place);
});

test('counts across octets and in the upper half of the address space', () => {
  expect(placeOfAddress('192.168.17.9', '192.168.16.0/20')).toBe('usable');
  expect(placeOfAddress('192.168.31.255', '192.168.16.0/20')).toBe('reserved');
  expect(placeOfAddress('192.168.32.1', '192.168.16.0/20')).toBe('outside');
});
