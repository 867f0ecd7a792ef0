/** Who sent a request, or why it is refused, in the words of the service that was asked. */
import type { Account } from './account.ts';
import type { AwsService } from './faults.ts';
import type { HttpRequest } from './http.ts';
import { Refusal } from './refusal.ts';
import { isSignedWith, parseTime, type Signature } from './sigv4.ts';

export type AccessFailure =
  | { kind: 'unsigned' }
  | { kind: 'malformed' }
  | { kind: 'unknown-key'; accessKeyId: string }
  | { kind: 'token-given' }
  | { kind: 'wrong-signature' }
  | { kind: 'headers-unsigned'; names: readonly string[] }
  | { kind: 'skewed'; time: string; now: number }
  | { kind: 'expired' }
  | { kind: 'wrong-region'; wanted: string; given: string };

const S3_SKEW_MS = 15 * 60_000;
const QUERY_SKEW_MS = 5 * 60_000;
const MAX_EXPIRES_SECONDS = 7 * 24 * 3600;

/** Throws a Refusal unless this account's key signed this very request, and recently. */
export function authenticate({
  request,
  signature,
  payloadHash,
  service,
  account,
  now,
}: {
  request: HttpRequest;
  signature: Signature;
  payloadHash: string;
  service: AwsService;
  account: Account;
  now: number;
}): void {
  const refuse = (failure: AccessFailure): Refusal => refuseAccess(service, failure);
  const { accessKeyId, scope } = signature;
  if (accessKeyId !== account.accessKeyId) throw refuse({ kind: 'unknown-key', accessKeyId });
  const hasToken = 'x-amz-security-token' in request.headers || request.query.has('X-Amz-Security-Token');
  if (hasToken) throw refuse({ kind: 'token-given' });
  const failure = checkTime({ signature, service, now });
  if (failure !== null) throw refuse(failure);
  const names = unsignedHeaders(request, signature);
  if (names.length > 0) throw refuse({ kind: 'headers-unsigned', names });
  const { secretAccessKey } = account;
  if (!isSignedWith({ request, signature, payloadHash, secretAccessKey })) {
    throw refuse({ kind: 'wrong-signature' });
  }
  // S3's buckets say where they are; EC2's things are all in the home region; STS and IAM are of no region.
  if ((service === 'ec2' || service === 'ebs') && scope.region !== account.region) {
    throw refuse({ kind: 'wrong-region', wanted: account.region, given: scope.region });
  }
}

export function refuseAccess(service: AwsService, failure: AccessFailure): Refusal {
  switch (service) {
    case 's3':
      return refuseByS3(failure);
    case 'ebs':
      return refuseByEbs(failure);
    case 'ec2':
      return refuseByEc2(failure);
    case 'sts':
    case 'iam':
      return refuseByIam(failure);
    default:
      return service satisfies never;
  }
}

function checkTime({
  signature,
  service,
  now,
}: {
  signature: Signature;
  service: AwsService;
  now: number;
}): AccessFailure | null {
  const { time, expiresSeconds } = signature;
  const signedAt = parseTime(time);
  const skewMs = service === 's3' ? S3_SKEW_MS : QUERY_SKEW_MS;
  if (expiresSeconds === null)
    return Math.abs(now - signedAt) > skewMs ? { kind: 'skewed', time, now } : null;
  if (expiresSeconds > MAX_EXPIRES_SECONDS) return { kind: 'malformed' };
  return now > signedAt + expiresSeconds * 1000 || now < signedAt - skewMs ? { kind: 'expired' } : null;
}

function unsignedHeaders({ headers }: HttpRequest, { signedHeaders }: Signature): string[] {
  const required = Object.keys(headers).filter((name) => name === 'host' || name.startsWith('x-amz-'));
  return required.filter((name) => !signedHeaders.includes(name));
}

function refuseByS3(failure: AccessFailure): Refusal {
  switch (failure.kind) {
    case 'unsigned':
      return say(403, 'AccessDenied', 'Access Denied');
    case 'malformed':
      return say(
        400,
        'AuthorizationHeaderMalformed',
        'The authorization header that you provided is not valid.',
      );
    case 'unknown-key':
      return new Refusal({
        status: 403,
        code: 'InvalidAccessKeyId',
        message: 'The AWS Access Key Id you provided does not exist in our records.',
        fields: { AWSAccessKeyId: failure.accessKeyId },
      });
    case 'token-given':
      return say(400, 'InvalidToken', 'The provided token is malformed or otherwise invalid.');
    case 'wrong-signature':
      return say(
        403,
        'SignatureDoesNotMatch',
        'The request signature we calculated does not match the signature you provided. Check your key and signing method.',
      );
    case 'headers-unsigned':
      return new Refusal({
        status: 403,
        code: 'AccessDenied',
        message: 'There were headers present in the request which were not signed',
        fields: { HeadersNotSigned: failure.names.join(', ') },
      });
    case 'skewed':
      return new Refusal({
        status: 403,
        code: 'RequestTimeTooSkewed',
        message: 'The difference between the request time and the current time is too large.',
        fields: {
          RequestTime: failure.time,
          ServerTime: new Date(failure.now).toISOString(),
          MaxAllowedSkewMilliseconds: String(S3_SKEW_MS),
        },
      });
    case 'expired':
      return say(403, 'AccessDenied', 'Request has expired');
    case 'wrong-region':
      return say(
        400,
        'AuthorizationHeaderMalformed',
        `The authorization header is malformed; the region '${failure.given}' is wrong; expecting '${failure.wanted}'`,
      );
    default:
      return failure satisfies never;
  }
}

function refuseByEc2(failure: AccessFailure): Refusal {
  switch (failure.kind) {
    case 'unsigned':
      return say(400, 'MissingAuthenticationToken', 'Request is missing Authentication Token');
    case 'malformed':
      return say(400, 'IncompleteSignature', 'The request signature does not conform to AWS standards.');
    case 'skewed':
    case 'expired':
      return say(400, 'RequestExpired', 'Request has expired.');
    case 'wrong-region': {
      const message = `Credential should be scoped to a valid region, not '${failure.given}'. This sandbox serves ${failure.wanted}.`;
      return say(401, 'AuthFailure', message);
    }
    case 'unknown-key':
    case 'token-given':
    case 'headers-unsigned':
    case 'wrong-signature':
      return say(401, 'AuthFailure', 'AWS was not able to validate the provided access credentials');
    default:
      return failure satisfies never;
  }
}

function refuseByEbs(failure: AccessFailure): Refusal {
  switch (failure.kind) {
    case 'unsigned':
      return say(403, 'MissingAuthenticationTokenException', 'Missing Authentication Token');
    case 'malformed':
      return say(
        400,
        'IncompleteSignatureException',
        'The request signature does not conform to AWS standards.',
      );
    case 'unknown-key':
    case 'token-given':
      return say(
        403,
        'UnrecognizedClientException',
        'The security token included in the request is invalid.',
      );
    case 'skewed':
    case 'expired':
      return say(403, 'InvalidSignatureException', 'Signature expired or not yet current');
    case 'wrong-region': {
      const message = `Credential should be scoped to a valid region, not '${failure.given}'. This sandbox serves ${failure.wanted}.`;
      return say(403, 'InvalidSignatureException', message);
    }
    case 'headers-unsigned':
    case 'wrong-signature':
      return say(
        403,
        'InvalidSignatureException',
        'The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.',
      );
    default:
      return failure satisfies never;
  }
}

function refuseByIam(failure: AccessFailure): Refusal {
  switch (failure.kind) {
    case 'unsigned':
      return say(403, 'MissingAuthenticationToken', 'Request is missing Authentication Token');
    case 'malformed':
      return say(400, 'IncompleteSignature', 'The request signature does not conform to AWS standards.');
    case 'unknown-key':
    case 'token-given':
      return say(403, 'InvalidClientTokenId', 'The security token included in the request is invalid.');
    case 'skewed': {
      const sign = parseTime(failure.time) < failure.now ? 'Signature expired' : 'Signature not yet current';
      const message = `${sign}: ${failure.time} is more than 5 min. from ${new Date(failure.now).toISOString()}`;
      return say(403, 'SignatureDoesNotMatch', message);
    }
    case 'expired':
      return say(403, 'SignatureDoesNotMatch', 'Signature expired');
    case 'headers-unsigned':
    case 'wrong-signature':
    case 'wrong-region':
      return say(
        403,
        'SignatureDoesNotMatch',
        'The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.',
      );
    default:
      return failure satisfies never;
  }
}

function say(status: number, code: string, message: string): Refusal {
  return new Refusal({ status, code, message });
}
