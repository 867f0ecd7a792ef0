/**
 * Shared access signatures of managed disks: a signature over a stored policy's id, as Azure gives them out. What it
 * allows and until when is in the policy, so that it can be revoked.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';

export type SignedPlace = { secret: string /** Of the blob, from `/`. */; path: string };

const VERSION = '2018-03-28';

/** The query of an address, without `?`. */
export function writeSas(place: SignedPlace, policyId: string): string {
  const sig = sign(place, policyId);
  return new URLSearchParams({ sv: VERSION, sr: 'b', si: policyId, sig }).toString();
}

/** The id of the policy that a sound signature names; otherwise why it is none. */
export function readSas(
  place: SignedPlace,
  query: URLSearchParams,
): { policyId: string } | { failure: string } {
  const [policyId, sig] = [query.get('si'), query.get('sig')];
  if (policyId === null || sig === null)
    return { failure: 'The request carries no shared access signature.' };
  const [given, expected] = [Buffer.from(sig), Buffer.from(sign(place, policyId))];
  if (given.length !== expected.length || !timingSafeEqual(given, expected)) {
    return { failure: `Signature did not match. String to sign used was ${policyId}\n${place.path}` };
  }
  return { policyId };
}

/** What of a query belongs to the signature. */
export const SAS_PARAMETERS: ReadonlySet<string> = new Set([
  'sv',
  'sr',
  'si',
  'sig',
  'se',
  'sp',
  'st',
  'spr',
  'sip',
]);

function sign({ secret, path }: SignedPlace, policyId: string): string {
  return createHmac('sha256', secret).update(`${policyId}\n${path}`).digest('base64');
}
