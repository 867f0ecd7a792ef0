/**
 * IPv4 addresses of a subnet, of which AWS and Azure keep the same five.
 * https://docs.aws.amazon.com/vpc/latest/userguide/subnet-sizing.html
 * https://learn.microsoft.com/azure/virtual-network/virtual-networks-faq
 */

const KEPT = 5;

export type AddressPlace = 'usable' | 'reserved' | 'outside';

/** Kept: the first four addresses (network, router, DNS) and the last. */
export function placeOfAddress(address: string, cidr: string): AddressPlace {
  const [base = '', lengthText = ''] = cidr.split('/');
  const size = 2 ** (32 - Number(lengthText));
  const offset = addressNumber(address) - addressNumber(base);
  if (!(offset >= 0 && offset < size)) return 'outside';
  return offset < 4 || offset === size - 1 ? 'reserved' : 'usable';
}

/** How many addresses things may have. */
export function usableCount(cidr: string): number {
  const [, lengthText = ''] = cidr.split('/');
  return Math.max(0, 2 ** (32 - Number(lengthText)) - KEPT);
}

function addressNumber(address: string): number {
  return address.split('.').reduce((sum, octet) => sum * 256 + Number(octet), 0);
}
