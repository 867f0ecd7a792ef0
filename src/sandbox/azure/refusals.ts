/**
 * Azure Resource Manager's refusals in its own words, and those of Blob Storage.
 * https://learn.microsoft.com/azure/azure-resource-manager/troubleshooting/common-deployment-errors
 * https://learn.microsoft.com/rest/api/storageservices/common-rest-api-error-codes
 */
import type { JsonObject } from '../../domain/json.ts';
import { EMPTY, type HttpAnswer } from '../http.ts';
import { Refusal } from '../refusal.ts';
import { writeXml } from '../xml.ts';

export type ArmRefusalOptions = { target?: string; retryAfterSeconds?: number };

export function refuse(
  status: number,
  code: string,
  message: string,
  { target, retryAfterSeconds }: ArmRefusalOptions = {},
): Refusal {
  const fields = {
    ...(target === undefined ? {} : { target }),
    ...(retryAfterSeconds === undefined ? {} : { retryAfter: String(retryAfterSeconds) }),
  };
  return new Refusal({ status, code, message, fields });
}

export function invalidParameter(target: string, message: string): Refusal {
  return refuse(400, 'InvalidParameter', message, { target });
}

export function notAllowed(message: string): Refusal {
  return refuse(409, 'OperationNotAllowed', message);
}

export function propertyChange(target: string): Refusal {
  return refuse(409, 'PropertyChangeNotAllowed', `Changing property '${target}' is not allowed.`, { target });
}

/** `resource` is its type and name, for example `Microsoft.Compute/disks/web01`. */
export function resourceNotFound(resource: string, resourceGroup: string): Refusal {
  return refuse(
    404,
    'ResourceNotFound',
    `The Resource '${resource}' under resource group '${resourceGroup}' was not found. For more details please go to https://aka.ms/ARMResourceNotFoundFix`,
  );
}

/** The body of every error of Resource Manager, and of a failed operation's `error`. */
export function describeError({ code, message, fields }: Refusal): JsonObject {
  return { code, message, details: [], ...(fields.target === undefined ? {} : { target: fields.target }) };
}

export function answerArmRefusal(refusal: Refusal): HttpAnswer {
  const { retryAfter } = refusal.fields;
  const headers = {
    'content-type': 'application/json; charset=utf-8',
    'x-ms-failure-cause': 'gateway',
    ...(retryAfter === undefined ? {} : { 'retry-after': retryAfter }),
    ...(refusal.status === 401
      ? { 'www-authenticate': `Bearer error="invalid_token", error_description="${refusal.code}"` }
      : {}),
  };
  const text = JSON.stringify({ error: describeError(refusal) });
  return { status: refusal.status, headers, body: { kind: 'text', text } };
}

export function answerBlobRefusal(
  refusal: Refusal,
  { id, method }: { id: string; method: string },
): HttpAnswer {
  const { code, status, fields } = refusal;
  const { retryAfter, detail } = fields;
  const Message = `${refusal.message}\nRequestId:${id}\nTime:${new Date().toISOString()}`;
  const body = {
    Code: code,
    Message,
    ...(detail === undefined ? {} : { AuthenticationErrorDetail: detail }),
  };
  const headers = {
    'content-type': 'application/xml',
    'x-ms-error-code': code,
    'x-ms-version': '2024-11-04',
    ...(retryAfter === undefined ? {} : { 'retry-after': retryAfter }),
  };
  if (method === 'HEAD') return { status, headers, body: EMPTY };
  return { status, headers, body: { kind: 'text', text: writeXml({ root: 'Error', body, lists: 'flat' }) } };
}

/** A signature that is missing, wrong, expired or revoked; the detail says which. */
export function authenticationFailed(detail: string): Refusal {
  const message =
    'Server failed to authenticate the request. Make sure the value of Authorization header is formed correctly including the signature.';
  return new Refusal({ status: 403, code: 'AuthenticationFailed', message, fields: { detail } });
}

/** The signature is sound and does not allow this. */
export function permissionMismatch(): Refusal {
  const message = 'This request is not authorized to perform this operation using this permission.';
  return new Refusal({ status: 403, code: 'AuthorizationPermissionMismatch', message });
}

export function invalidPageRange(): Refusal {
  return new Refusal({
    status: 416,
    code: 'InvalidPageRange',
    message: 'The page range specified is invalid.',
  });
}
