/** What the endpoint of a disk's pages means when it refuses: it knows no roles, so no grant helps. */
import { LandfallError } from '../../../src/domain/errors.ts';
import { type AzureCall, asAzureError } from './errors.ts';

/** What Resource Manager said on the way, when access was asked for, stays as it is. */
export function asPageError(call: AzureCall, thrown: unknown): LandfallError {
  if (thrown instanceof LandfallError) return thrown;
  const error = asAzureError(call, thrown);
  switch (error.context.status) {
    case 403:
      return withRemedy(error, {
        code: 'target-denied',
        retryable: false,
        remedy:
          "A new signature was refused too. Let the disk's endpoint be reached from here (a policy may set `networkAccessPolicy` or a private endpoint for disks), see that nobody revokes access while an upload goes on, and set this host's clock right.",
      });
    case 404:
      return withRemedy(error, {
        code: 'target-missing',
        retryable: true,
        remedy: 'The disk was deleted while it was written: the next try begins a new one.',
      });
    default:
      return error;
  }
}

function withRemedy(
  error: LandfallError,
  { code, retryable, remedy }: Pick<LandfallError, 'code' | 'retryable'> & { remedy: string },
): LandfallError {
  const former = String(error.context.remedy ?? '');
  const said =
    former !== '' && error.message.endsWith(former)
      ? error.message.slice(0, -former.length).trimEnd()
      : error.message;
  return new LandfallError({
    code,
    retryable,
    message: `${said} ${remedy}`,
    cause: error.cause,
    context: { ...error.context, remedy },
  });
}
