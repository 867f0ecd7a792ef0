/** Conditional requests: If-Match and If-None-Match. */
import type { HttpRequest } from '../http.ts';
import { quoteEtag } from './answers.ts';
import type { HeldObject } from './object-store.ts';
import { noSuchKey, notImplemented, preconditionFailed } from './refusals.ts';

const UNSUPPORTED = ['if-modified-since', 'if-unmodified-since', 'if-range'];

/** Throws PreconditionFailed (412) where a write must not replace, or replace another than, what stands. */
export function checkWriteCondition(
  { headers }: HttpRequest,
  standing: HeldObject | null,
  key: string,
): void {
  refuseUnsupported({ headers });
  const none = headers['if-none-match'];
  if (none !== undefined && none !== '*') throw notImplemented({ Header: 'If-None-Match' });
  if (none === '*' && standing !== null) throw preconditionFailed('If-None-Match');
  const match = headers['if-match'];
  if (match === undefined) return;
  if (standing === null) throw noSuchKey(key);
  if (!isMatch(match, standing)) throw preconditionFailed('If-Match');
}

/** Throws PreconditionFailed; false: the client has the object already (304). */
export function isWanted({ headers }: HttpRequest, object: HeldObject): boolean {
  refuseUnsupported({ headers });
  const match = headers['if-match'];
  if (match !== undefined && !isMatch(match, object)) throw preconditionFailed('If-Match');
  const none = headers['if-none-match'];
  return none === undefined || !isMatch(none, object);
}

function refuseUnsupported({ headers }: Pick<HttpRequest, 'headers'>): void {
  const name = UNSUPPORTED.find((header) => headers[header] !== undefined);
  if (name !== undefined) throw notImplemented({ Header: name });
}

function isMatch(condition: string, { etag }: HeldObject): boolean {
  if (condition.trim() === '*') return true;
  const wanted = condition.split(',').map((item) => item.trim());
  return wanted.includes(quoteEtag(etag)) || wanted.includes(etag);
}
