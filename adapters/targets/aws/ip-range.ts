/** IPv4 addresses of a subnet. https://docs.aws.amazon.com/vpc/latest/userguide/subnet-sizing.html */

export type AddressPlace = 'usable' | 'reserved' | 'outside';

/** AWS keeps the first four addresses (network, router, DNS, future use) and the last. */
export function placeOfAddress(address: string, cidr: string): AddressPlace {
  const [base = '', lengthText = ''] = cidr.split('/');
  const size = 2 ** (32 - Number(lengthText));
  const offset = addressNumber(address) - addressNumber(base);
  if (!(offset >= 0 && offset < size)) return 'outside';
  return offset < 4 || offset === size - 1 ? 'reserved' : 'usable';
}

function addressNumber(address: string): number {
  return address.split('.').reduce((sum, octet) => sum * 256 + Number(octet), 0);
}
