import { describe, expect, test } from 'vitest';
import { asAzureError, azureCodeOf } from '../../../../adapters/targets/azure/errors.ts';

const CALL = { doing: 'Creating a disk', action: 'Microsoft.Compute/disks/write', resource: 'disk d in g' };

describe('an error of Azure', () => {
  test.each([
    [
      403,
      'AuthorizationFailed',
      'target-denied',
      false,
      /Grant Microsoft\.Compute\/disks\/write on disk d in g/,
    ],
    [401, 'ExpiredAuthenticationToken', 'target-denied', false, /landfall doctor/],
    [404, 'ResourceNotFound', 'target-missing', false, /still exists/],
    [404, 'ResourceGroupNotFound', 'target-missing', false, /`resourceGroup`/],
    [409, 'AnotherOperationInProgress', 'target-unavailable', true, /later/],
    [409, 'Conflict', 'target-unavailable', true, /later/],
    [409, '', 'target-unavailable', true, /later/],
    [409, 'NicInUse', 'target-unavailable', true, /later/],
    [412, '', 'target-unavailable', true, /later/],
    [409, 'PropertyChangeNotAllowed', 'target-refused', false, /said so/],
    [409, 'OperationNotAllowed', 'target-refused', false, /said so/],
    [409, 'ScopeLocked', 'target-refused', false, /lock/],
    [409, 'SkuNotAvailable', 'target-refused', false, /sells/],
    [409, 'QuotaExceeded', 'target-limit', true, /quota/],
    [429, 'TooManyRequests', 'target-unavailable', true, /throttles/],
    [503, 'ServerBusy', 'target-unavailable', true, /throttles/],
    [500, '', 'target-unavailable', true, /later/],
    [400, 'InvalidParameter', 'target-refused', false, /InvalidParameter/],
  ])('%i %s is %s', (statusCode, code, expected, retryable, remedy) => {
    const error = asAzureError(CALL, Object.assign(new Error('It said so.'), { statusCode, code }));
    expect(error).toMatchObject({
      code: expected,
      retryable,
      context: { azureCode: code, status: statusCode },
    });
    expect(error.message).toMatch(
      /^Creating a disk \(Microsoft\.Compute\/disks\/write on disk d in g\) failed: /,
    );
    expect(error.message).toMatch(remedy);
  });

  test('of a chain without an identity is told in a sentence, the words of its links left to the cause', () => {
    const said = 'ChainedTokenCredential authentication failed. '.repeat(30);
    const name = 'AggregateAuthenticationError';
    const error = asAzureError(CALL, Object.assign(new Error(said), { name }));
    expect(error).toMatchObject({
      code: 'target-denied',
      context: { azureCode: name },
      cause: { message: said },
    });
    expect(error.message).toMatch(/failed: nothing gives an identity of Azure, .*AZURE_TENANT_ID/);
    expect(error.message).not.toContain('ChainedTokenCredential');
  });

  test('of a certificate that is not trusted names the variable that trusts it', () => {
    const code = 'DEPTH_ZERO_SELF_SIGNED_CERT';
    const error = asAzureError(CALL, Object.assign(new Error('self-signed certificate'), { code }));
    expect(error).toMatchObject({
      retryable: false,
      message: expect.stringContaining('NODE_EXTRA_CA_CERTS'),
    });
  });

  test('names the linked right that is missing, not the one that was asked for', () => {
    const said =
      "The client 'x' has permission to perform action 'a' on scope 's'; however, it does not have permission to perform action(s) 'Microsoft.Compute/diskEncryptionSets/read' on the linked scope(s) '/sub/des' (respectively).";
    const error = Object.assign(new Error(said), { statusCode: 403, code: 'LinkedAuthorizationFailed' });
    expect(asAzureError(CALL, error).message).toContain(
      'Grant Microsoft.Compute/diskEncryptionSets/read on /sub/des to the identity',
    );
  });

  test('that says what is under way on it is tried again', () => {
    const said = 'Disk d is being updated by another operation.';
    const error = Object.assign(new Error(said), { statusCode: 409, code: 'OperationNotAllowed' });
    expect(asAzureError(CALL, error)).toMatchObject({ code: 'target-unavailable', retryable: true });
  });

  test('of a long-running operation has its own code', () => {
    const error = new Error('The long-running operation has failed. InvalidVhd. The footer is not there.');
    expect(azureCodeOf(error)).toBe('InvalidVhd');
    expect(asAzureError(CALL, error)).toMatchObject({
      code: 'target-refused',
      message: expect.stringContaining('failed: InvalidVhd: The footer is not there.'),
    });
  });

  test.each([
    'The long-running operation has failed. CanceledAndSupersededDueToAnotherOperation. Superseded.',
    'The long-running operation has failed. ReferencedResourceNotProvisioned. Not yet.',
    'The long-running operation has failed. VMStartTimedOut. Too slow.',
    'The long-running operation has failed. OperationNotAllowed. It is being updated by another operation.',
    'Operation was canceled',
  ])('that another operation caused is tried again: %s', (said) => {
    expect(asAzureError(CALL, new Error(said))).toMatchObject({
      code: 'target-unavailable',
      retryable: true,
    });
  });

  test('tells neither signature nor token, also not by its cause', () => {
    const error = Object.assign(new Error('PUT https://h/vhd?sv=1&sig=SECRET was refused'), {
      statusCode: 400,
      request: { headers: { authorization: 'Bearer SECRET' } },
    });
    const told = asAzureError(CALL, error);
    const cause = told.cause as Error;
    expect(told.message + cause.message + cause.stack + JSON.stringify(cause)).not.toContain('SECRET');
  });
});
