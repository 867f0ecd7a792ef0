/** AWS errors as Landfall's: what was attempted, on what, what AWS said, what to do. */
import { hostname } from 'node:os';
import { LandfallError } from '../../../src/domain/errors.ts';
import {
  denied,
  limited,
  missing,
  refused,
  type TargetFailure,
  unavailable,
} from '../../../src/domain/target-failure.ts';

/** What a request is for, so that its failure can be told in an operator's words. */
export type AwsCall = {
  /** "Importing disk 0 of web01": the start of a sentence that ends in "failed". */
  doing: string;
  /** The permission that it needs, for example `s3:PutObject`. */
  action: string;
  /** What it is done to, for example `s3://acme-mig/web01.vmdk` or `eu-central-1`. */
  resource: string;
};

/** Names of errors that say the caller has no valid identity. Renewed credentials help; the same ones never do. */
const NO_IDENTITY = new Set([
  'InvalidClientTokenId',
  'UnrecognizedClientException',
  'InvalidAccessKeyId',
  'SignatureDoesNotMatch',
  'AuthFailure',
  'MissingAuthenticationToken',
  'InvalidToken',
]);
/** Where credentials come from did not answer: the metadata service and sign-on services have outages too. */
const NO_PROVIDER = new Set(['CredentialsProviderError', 'TokenProviderError']);
const EXPIRED = new Set([
  'ExpiredToken',
  'ExpiredTokenException',
  'RequestExpired',
  'TokenRefreshRequired',
  'RequestTimeTooSkewed',
]);
const DENIED = new Set([
  'AccessDenied',
  'AccessDeniedException',
  'UnauthorizedOperation',
  'Unauthorized',
  'Forbidden',
  'AllAccessDisabled',
  'OptInRequired',
  'KMS.AccessDeniedException',
]);
const THROTTLED = new Set([
  'RequestLimitExceeded',
  'Throttling',
  'ThrottlingException',
  'ThrottledException',
  'RequestThrottled',
  'RequestThrottledException',
  'TooManyRequestsException',
  'SlowDown',
  'BandwidthLimitExceeded',
  'ConcurrentLimitExceededException',
]);
const UNREACHABLE = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
  'TimeoutError',
  'RequestTimeout',
]);
const UNAVAILABLE = new Set([
  'InternalError',
  'InternalFailure',
  'InternalServerError',
  'ServiceUnavailable',
  'ServiceUnavailableException',
  'Unavailable',
  'OperationAborted',
  'InsufficientInstanceCapacity',
  'InsufficientAddressCapacity',
  'InsufficientCapacity',
  'InsufficientHostCapacity',
  'ServerInternal',
  'ConcurrentTagAccess',
  'InvalidSnapshot.InUse',
]);

/**
 * Sends one request. Throws a LandfallError with AWS's own code in `context.awsCode`; retries are the SDK's alone, so
 * what arrives here has been tried several times already.
 */
export async function ask<T>(call: AwsCall, send: () => Promise<T>): Promise<T> {
  try {
    return await send();
  } catch (error) {
    throw asAwsError(call, error);
  }
}

/** The same, but null where AWS answers with one of these codes: `NoSuchUpload`, `InvalidInstanceID.NotFound` … */
export async function askUnless<T>(
  codes: readonly string[],
  call: AwsCall,
  send: () => Promise<T>,
): Promise<T | null> {
  try {
    return await send();
  } catch (error) {
    if (codes.includes(awsCodeOf(error))) return null;
    throw asAwsError(call, error);
  }
}

/** The same for a request that waits for its turn first: what ends that wait is told like what ends a request. */
export async function askUntil<T>(signal: AbortSignal, call: AwsCall, send: () => Promise<T>): Promise<T> {
  return ask(call, async () => {
    try {
      return await send();
    } catch (error) {
      const isEnded = signal.aborted && error === signal.reason && !(error instanceof LandfallError);
      throw isEnded ? new DOMException('The request was not sent', 'AbortError') : error;
    }
  });
}

/** AWS's own code of an error, before or after it was classified; '' where it has none. */
export function awsCodeOf(error: unknown): string {
  if (error instanceof LandfallError) return String(error.context.awsCode ?? '');
  if (!(error instanceof Error)) return '';
  const { Code, code, name } = error as Error & { Code?: unknown; code?: unknown };
  // A HEAD request has no body: the SDK knows only the status then.
  const status = statusOf(error);
  if ((name === 'Unknown' || name === 'UnknownError' || name === 'Error') && status !== null) {
    if (status === 403) return 'Forbidden';
    if (status === 404) return 'NotFound';
    if (status === 301) return 'PermanentRedirect';
    if (status === 412) return 'PreconditionFailed';
  }
  if (typeof Code === 'string') return Code;
  if (typeof code === 'string') return code;
  return name;
}

export function asAwsError(call: AwsCall, error: unknown): LandfallError {
  if (error instanceof LandfallError) return error;
  const awsCode = awsCodeOf(error);
  const said = saidBy(error);
  const { code, retryable, remedy } = classify(call, { awsCode, said, status: statusOf(error) });
  const what = code === 'cancelled' ? 'was cancelled' : `failed: ${said}`;
  return new LandfallError({
    code,
    retryable,
    message: `${call.doing} (${call.action} on ${call.resource}) ${what}${remedy === '' ? '' : ` ${remedy}`}`,
    cause: error,
    context: { awsCode, remedy, action: call.action, resource: call.resource, ...requestIdOf(error) },
  });
}

/** Errors are made where the request was: in a worker, whose log may be read elsewhere. */
const CREDENTIALS = `the AWS credentials of Landfall on ${hostname()}`;
const NEW_ENVIRONMENT =
  'A worker keeps the variables that it was started with: after a change, `landfall down` and start it again.';

function classify(
  { action, resource }: AwsCall,
  { awsCode, said, status }: { awsCode: string; said: string; status: number | null },
): TargetFailure {
  if (awsCode === 'AbortError') return { code: 'cancelled', retryable: false, remedy: '' };
  if (NO_IDENTITY.has(awsCode))
    return denied(`Check ${CREDENTIALS}: \`landfall doctor\` there. ${NEW_ENVIRONMENT}`);
  if (NO_PROVIDER.has(awsCode)) {
    const remedy = `Check ${CREDENTIALS}: \`landfall doctor\` there. ${NEW_ENVIRONMENT}`;
    return { ...denied(remedy), retryable: true };
  }
  if (EXPIRED.has(awsCode)) return denied(`Renew ${CREDENTIALS}, or set its clock right. ${NEW_ENVIRONMENT}`);
  if (DENIED.has(awsCode)) return denied(`Grant ${action} on ${resource} to ${identityIn(said)}.`);
  if (THROTTLED.has(awsCode)) return unavailable('AWS throttles requests; it is tried again later.');
  if (UNREACHABLE.has(awsCode)) return unavailable('Check the network and the endpoint.');
  if (awsCode === 'NoSuchBucket') return missing('Create the bucket, or correct `bucket` of the target.');
  if (awsCode === 'PermanentRedirect')
    return refused('The bucket is in another region: correct `region` or `bucket`.');
  // Addresses are freed when what held them is terminated.
  if (awsCode === 'InvalidIPAddress.InUse')
    return { ...refused('Free the address, or name another `privateIp`.'), retryable: true };
  if (isQuota(awsCode)) return limited('Raise the quota, or let fewer machines move at once.');
  if (UNAVAILABLE.has(awsCode)) return unavailable('It is tried again later.');
  if (/\.NotFound$|NotFoundException$|^NoSuch|^NotFound$/.test(awsCode))
    return missing(`Check that ${resource} still exists.`);
  if (isNetworkFailure(said)) return unavailable('Check the network and the endpoint.');
  if (status !== null && status >= 500) return unavailable('It is tried again later.');
  return refused('');
}

/** AWS mostly says who was denied. */
export function identityIn(said: string): string {
  const [, arn] = /\bUser: (arn:\S+)/.exec(said) ?? [];
  return arn ?? `the identity of Landfall on ${hostname()} (\`aws sts get-caller-identity\` there)`;
}

function isQuota(awsCode: string): boolean {
  return (
    /LimitExceeded$|QuotaExceeded/.test(awsCode) ||
    awsCode === 'ResourceCountExceeded' ||
    awsCode === 'InsufficientFreeAddressesInSubnet' ||
    awsCode === 'TooManyBuckets'
  );
}

/** Node says some broken connections in words only. */
function isNetworkFailure(said: string): boolean {
  return /socket hang up|network socket disconnected|connection.*closed|timed out/i.test(said);
}

/** One sentence. An AggregateError (every address of a host refused) says nothing itself: its members do. */
export function saidBy(error: unknown): string {
  if (error instanceof AggregateError && error.message === '') return saidBy(error.errors[0]);
  const message = error instanceof Error ? error.message.trim() : String(error);
  const code = awsCodeOf(error);
  const text = message === '' || message === 'UnknownError' ? code : message;
  const named = code === '' || text.includes(code) ? text : `${code}: ${text}`;
  return /[.!?]$/.test(named) ? named : `${named}.`;
}

function statusOf(error: unknown): number | null {
  const metadata = (error as { $metadata?: { httpStatusCode?: number } }).$metadata;
  return metadata?.httpStatusCode ?? null;
}

function requestIdOf(error: unknown): { requestId?: string } {
  const requestId = (error as { $metadata?: { requestId?: string } }).$metadata?.requestId;
  return requestId === undefined ? {} : { requestId };
}
