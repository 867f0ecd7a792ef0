/** IPv4 addresses and blocks as numbers. */
import { isIPv4 } from 'node:net';

export type Block = { first: number; size: number };

/** null for anything but dotted decimal. */
export function parseAddress(text: string): number | null {
  if (!isIPv4(text)) return null;
  return text.split('.').reduce((value, octet) => value * 256 + Number(octet), 0);
}

export function formatAddress(value: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) % 256).join('.');
}

/** null for a block that is not one: bits set beyond the prefix included. */
export function parseBlock(cidr: string): Block | null {
  const [address = '', prefix = '', ...more] = cidr.split('/');
  const first = parseAddress(address);
  if (first === null || more.length > 0 || !/^\d{1,2}$/.test(prefix) || Number(prefix) > 32) return null;
  const size = 2 ** (32 - Number(prefix));
  return first % size === 0 ? { first, size } : null;
}

export function isWithin(block: Block, address: number): boolean {
  return address >= block.first && address < block.first + block.size;
}

/** Both clouds keep the first four addresses of a subnet and its last. */
export function isReserved(block: Block, address: number): boolean {
  return address < block.first + 4 || address === block.first + block.size - 1;
}

export const RESERVED_ADDRESSES = 5;
