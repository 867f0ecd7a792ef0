/** Azure's errors as Landfall's: what was attempted, on what, what Azure said, what to do. */
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
export type AzureCall = {
  /** "Creating disk 0 of web01": the start of a sentence that ends in "failed". */
  doing: string;
  /** The action of a role that it needs, for example `Microsoft.Compute/disks/write`. */
  action: string;
  /** What it is done to, for example `disk web01-disk-0-… in acme-mig`. */
  resource: string;
};

type Reading = { azureCode: string; said: string; status: number | null };

/** Errors of the credential chain: nobody said who this worker is, or the answer was no. */
const NO_IDENTITY = new Set([
  'CredentialUnavailableError',
  'AuthenticationRequiredError',
  'AuthenticationError',
  'AggregateAuthenticationError',
  'InvalidAuthenticationToken',
  'InvalidAuthenticationTokenTenant',
  'ExpiredAuthenticationToken',
  'AuthenticationFailedInvalidHeader',
  'InvalidAuthenticationInfo',
]);
/** Each link of the SDK's chain was asked: what it says of each, a thousand characters, is left to the cause. */
const NOBODY = new Set(['AggregateAuthenticationError', 'CredentialUnavailableError']);
const DENIED = new Set([
  'AuthorizationFailed',
  'LinkedAuthorizationFailed',
  'AuthorizationPermissionMismatch',
  'AuthorizationFailure',
  'Forbidden',
]);
/** Something else works on the same thing, or holds it for a moment. */
const BUSY = new Set([
  'AnotherOperationInProgress',
  'AttachDiskWhileBeingDetached',
  'CanceledAndSupersededDueToAnotherOperation',
  'ConcurrentOperationError',
  'Conflict',
  'ConflictError',
  'ConflictingConcurrentWriteNotAllowed',
  'DiskBeingUsed',
  'InUse',
  'NetworkSecurityGroupOperationInProgress',
  'NicInUse',
  'NicReservedForAnotherVm',
  'OperationPreemptedByAnotherOperation',
  'OperationPreempted',
  'PreconditionFailed',
  'ReferencedResourceNotProvisioned',
  'ResourceNotReady',
  'RetryableError',
  'RetryableErrorDueToAnotherOperation',
]);
const UNAVAILABLE = new Set([
  'AllocationFailed',
  'ZonalAllocationFailed',
  'OverconstrainedAllocationRequest',
  'OverconstrainedZonalAllocationRequest',
  'InternalError',
  'InternalExecutionError',
  'InternalServerError',
  'NetworkingInternalOperationError',
  'OperationTimedOut',
  'VMStartTimedOut',
  'ServerTimeout',
  'ServiceUnavailable',
  'StorageFailure',
]);
/** Conflicts that last until somebody changes something; any other 409 is of another operation, and passes. */
const LASTING_CONFLICTS = new Set([
  'AttachDiskWhileDisallowed',
  'BlobImmutableDueToPolicy',
  'InvalidParameter',
  'MissingSubscriptionRegistration',
  'OperationNotAllowed',
  'PropertyChangeNotAllowed',
  'ReadOnlyDisabledSubscription',
  'ResourceGroupBeingDeleted',
  'SubscriptionNotRegistered',
]);
/** How core-lro tells an operation that Azure canceled, which its caller did not. */
const OPERATION_CANCELED = 'Operation was canceled';
const UPDATED_ELSEWHERE =
  /being (?:updated|created|deleted|used)|another (?:operation|request)|try again later/i;
const THROTTLED = new Set(['TooManyRequests', 'ServerBusy', 'SubscriptionRequestsThrottled', 'Throttled']);
const UNREACHABLE = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'ESOCKETTIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ERR_STREAM_PREMATURE_CLOSE',
  'REQUEST_SEND_ERROR',
]);
const QUOTA = /QuotaExceeded|LimitExceeded|^MaxStorageAccountsCountPerSubscriptionExceeded$/;
const MISSING = /NotFound$|^ResourceGroupBeingDeleted$|^NotFound$/;
/** How a failed long-running operation tells its error: https://github.com/Azure/azure-sdk-for-js, core-lro. */
const OPERATION_FAILED = /^The long-running operation has failed(?:\. ([A-Za-z0-9_.]+)\. ([\s\S]*))?$/;

/**
 * Sends one request, or waits for a long-running operation. Throws a LandfallError with Azure's own code in
 * `context.azureCode`; retries are the SDK's alone, so what arrives here has been tried several times already.
 */
export async function ask<T>(call: AzureCall, send: () => PromiseLike<T>): Promise<T> {
  try {
    return await send();
  } catch (error) {
    throw asAzureError(call, error);
  }
}

/** The same, but null where Azure answers that there is no such thing; a resource group that is away is an error. */
export async function askIfFound<T>(call: AzureCall, send: () => PromiseLike<T>): Promise<T | null> {
  return askUnless(['ResourceNotFound', 'NotFound'], call, send);
}

/** The same for what a wave names by its id: its resource group may be any, and may be away. */
export async function askIfNamed<T>(call: AzureCall, send: () => PromiseLike<T>): Promise<T | null> {
  return askUnless(['ResourceNotFound', 'NotFound', 'ResourceGroupNotFound'], call, send);
}

/** The same, but null where Azure answers with one of these codes. */
export async function askUnless<T>(
  codes: readonly string[],
  call: AzureCall,
  send: () => PromiseLike<T>,
): Promise<T | null> {
  try {
    return await send();
  } catch (error) {
    if (codes.includes(azureCodeOf(error))) return null;
    throw asAzureError(call, error);
  }
}

/** Azure's own code of an error, before or after it was classified; '' where it has none. */
export function azureCodeOf(error: unknown): string {
  if (error instanceof LandfallError) return String(error.context.azureCode ?? '');
  if (!(error instanceof Error)) return '';
  const { name, message, code } = error as Error & { code?: unknown };
  const late = OPERATION_FAILED.exec(message)?.[1];
  if (late !== undefined) return late;
  if (typeof code === 'string' && code !== '') return code;
  const status = statusOf(error);
  if (status === 404) return 'NotFound';
  if (status === 403) return 'Forbidden';
  return name === 'RestError' || name === 'Error' ? '' : name;
}

/** The HTTP status that Azure answered with; null where it did not answer, or the error came by an operation. */
export function statusOf(error: unknown): number | null {
  if (error instanceof LandfallError)
    return typeof error.context.status === 'number' ? error.context.status : null;
  const status = (error as { statusCode?: unknown } | null)?.statusCode;
  return typeof status === 'number' ? status : null;
}

export function asAzureError(call: AzureCall, error: unknown): LandfallError {
  if (error instanceof LandfallError) return error;
  const azureCode = azureCodeOf(error);
  const said = saidBy(error);
  const status = statusOf(error);
  const { code, retryable, remedy } = classify(call, { azureCode, said, status });
  const told = NOBODY.has(azureCode)
    ? 'nothing gives an identity of Azure, or what gives it did not answer.'
    : said;
  const what = code === 'cancelled' ? 'was cancelled' : `failed: ${told}`;
  const requestId = requestIdOf(error);
  return new LandfallError({
    code,
    retryable,
    message: `${call.doing} (${call.action} on ${call.resource}) ${what}${remedy === '' ? '' : ` ${remedy}`}`,
    cause: withoutSecrets(error),
    context: {
      azureCode,
      remedy,
      action: call.action,
      resource: call.resource,
      ...(status === null ? {} : { status }),
      ...(requestId === null ? {} : { requestId }),
    },
  });
}

/** The SDK's errors hold the whole request: its token and its signature would go wherever errors are logged. */
function withoutSecrets(error: unknown): unknown {
  if (!(error instanceof Error) || !('request' in error || 'response' in error)) return error;
  const bare = new Error(saidBy(error));
  bare.name = error.name;
  if (error.stack !== undefined) bare.stack = error.stack.replace(error.message, bare.message);
  return bare;
}

/** https://nodejs.org/api/tls.html#x509-certificate-error-codes */
const UNTRUSTED = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
]);

/** The certificate is of an authority that this host does not trust. */
export function isUntrusted(azureCode: string): boolean {
  return UNTRUSTED.has(azureCode);
}

export const TRUST =
  'Set NODE_EXTRA_CA_CERTS to the file of that authority (PEM), in this shell and for the workers, before they start.';

const CHECK_IDENTITY =
  'Check the identity of this worker (a service principal by AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET, a managed identity, or `az login`): `landfall doctor`. A worker keeps the variables that it was started with: after a change, `landfall down` and start it again.';

function classify({ action, resource }: AzureCall, { azureCode, said, status }: Reading): TargetFailure {
  if (azureCode === 'AbortError') return { code: 'cancelled', retryable: false, remedy: '' };
  // Where tokens come from has outages too, which look like having no identity.
  if (NO_IDENTITY.has(azureCode)) return { ...denied(CHECK_IDENTITY), retryable: status === null };
  if (status === 401) return denied(CHECK_IDENTITY);
  if (DENIED.has(azureCode)) return denied(grantRemedy(action, resource, said));
  if (isUntrusted(azureCode)) return refused(TRUST);
  if (azureCode === 'RequestDisallowedByPolicy')
    return refused(
      'A policy of the subscription forbids it: have an exemption made, or set what it asks for (`tags`, `sku`, `location`).',
    );
  if (azureCode === 'ScopeLocked') return refused('Remove the lock from the resource or from its group.');
  if (azureCode === 'ResourceGroupNotFound')
    return missing('Create the resource group, or correct `resourceGroup` of the target.');
  if (azureCode === 'SubscriptionNotFound' || azureCode === 'InvalidSubscriptionId')
    return missing('Correct `subscription` of the target, or give the identity of this worker access to it.');
  if (azureCode === 'SkuNotAvailable' || azureCode === 'NotAvailableForSubscription')
    return refused('Choose a size, disk type, zone or location that Azure sells to this subscription.');
  // Addresses are freed when what held them is removed.
  if (azureCode === 'PrivateIPAddressIsAllocated' || azureCode === 'PrivateIPAddressInUse')
    return { ...refused('Free the address, or name another `privateIp`.'), retryable: true };
  if (azureCode === 'SubnetIsFull')
    return limited('Free an address of the subnet, or name another `subnet`.');
  if (isQuota(azureCode, said)) return limited('Raise the quota, or let fewer machines move at once.');
  if (THROTTLED.has(azureCode) || status === 429)
    return unavailable('Azure throttles requests; it is tried again later.');
  if (UNREACHABLE.has(azureCode)) return unavailable('Check the network and the endpoint.');
  if (BUSY.has(azureCode) || isSuperseded({ azureCode, said, status }))
    return unavailable('Something else works on it; it is tried again later.');
  if (UNAVAILABLE.has(azureCode)) return unavailable('It is tried again later.');
  if (MISSING.test(azureCode) || status === 404) return missing(`Check that ${resource} still exists.`);
  if (status === 403) return denied(grantRemedy(action, resource, said));
  if (isNetworkFailure(said)) return unavailable('Check the network and the endpoint.');
  if (status !== null && (status >= 500 || status === 408)) return unavailable('It is tried again later.');
  return refused('');
}

/** What is missing may be another action than what was asked for: one that it uses, or that follows. Azure names it. */
function grantRemedy(action: string, resource: string, said: string): string {
  const linked = /permission to perform action\(s\) '([^']+)' on the linked scope\(s\) '([^']+)'/.exec(said);
  const own = /authorization to perform action '([^']+)' over scope '([^']+)'/.exec(said);
  const isAsked = own?.[1]?.toLowerCase() === action.toLowerCase();
  const [, wanted = action, scope = resource] = linked ?? (isAsked ? [] : (own ?? []));
  return `Grant ${wanted} on ${scope} to the identity of this worker: docs/azure.md has one role with all that is needed. A grant takes some minutes to be known everywhere.`;
}

/** Quotas of compute come as OperationNotAllowed, which has other reasons too. */
function isQuota(azureCode: string, said: string): boolean {
  return (
    QUOTA.test(azureCode) ||
    (azureCode === 'OperationNotAllowed' && /quota|core limit|maximum number/i.test(said))
  );
}

/** Another operation on the same thing came first, or took the place of this one. */
function isSuperseded({ azureCode, said, status }: Reading): boolean {
  if (said.startsWith(OPERATION_CANCELED) || status === 412) return true;
  if (azureCode === 'OperationNotAllowed') return UPDATED_ELSEWHERE.test(said);
  return status === 409 && !LASTING_CONFLICTS.has(azureCode) && !MISSING.test(azureCode);
}

/** Node says some broken connections in words only. */
function isNetworkFailure(said: string): boolean {
  return /socket hang up|network socket disconnected|connection.*closed|timed out/i.test(said);
}

/** Azure's words in a sentence, with its code; of storage's answers without the lines that name the request. Signatures are left out. */
export function saidBy(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  const [, , late] = OPERATION_FAILED.exec(message) ?? [];
  const text = (late ?? message)
    .replace(/\n?RequestId:[\s\S]*$/, '')
    .replace(/([?&]sig=)[^&\s'"]+/g, '$1…')
    .replace(/\s+/g, ' ')
    .trim();
  const code = azureCodeOf(error);
  const named = code === '' || text.includes(code) ? text || code : text === '' ? code : `${code}: ${text}`;
  return /[.!?]$/.test(named) ? named : `${named}.`;
}

function requestIdOf(error: unknown): string | null {
  const headers = (error as { response?: { headers?: unknown } } | null)?.response?.headers;
  if (typeof headers !== 'object' || headers === null) return null;
  const id =
    'get' in headers && typeof headers.get === 'function'
      ? headers.get('x-ms-request-id')
      : (headers as Record<string, unknown>)['x-ms-request-id'];
  return typeof id === 'string' ? id : null;
}
