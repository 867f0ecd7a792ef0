/** What IAM's actions share: how names are written, pages, roles in XML, refusals. */
import { randomInt } from 'node:crypto';
import type { HeldRole } from './iam-state.ts';
import { integerParameter, listParameter, structParameter, textParameter } from './query-form.ts';
import { Refusal } from './refusal.ts';
import type { XmlObject } from './xml.ts';

const BASE32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
const DEFAULT_PAGE = 100;

export const roleName = textParameter.regex(/^[\w+=,.@-]{1,64}$/);
export const policyName = textParameter.regex(/^[\w+=,.@-]{1,128}$/);
export const path = textParameter.regex(/^\/([\x21-\x7e]{0,510}\/)?$/).optional();
export const document = textParameter.min(1).max(131_072);
export const tags = listParameter(structParameter({ Key: textParameter, Value: textParameter })).optional();
export const paging = { Marker: textParameter.optional(), MaxItems: integerParameter.optional() };

export function writePage({
  element,
  items,
  input,
}: {
  element: string;
  items: readonly (XmlObject | string)[];
  input: { Marker?: string | undefined; MaxItems?: number | undefined };
}): XmlObject {
  const start = Number(input.Marker ?? 0);
  if (!Number.isSafeInteger(start) || start < 0) {
    throw new Refusal({ status: 400, code: 'ValidationError', message: 'Invalid Marker' });
  }
  const end = start + (input.MaxItems ?? DEFAULT_PAGE);
  const isTruncated = end < items.length;
  return {
    [element]: items.slice(start, end),
    IsTruncated: isTruncated,
    ...(isTruncated ? { Marker: end } : {}),
  };
}

export function writeRole(role: HeldRole): XmlObject {
  return {
    Path: role.path,
    RoleName: role.name,
    RoleId: role.id,
    Arn: role.arn,
    CreateDate: new Date(role.createdAt),
    AssumeRolePolicyDocument: encodeDocument(role.trust),
    Description: role.description,
    MaxSessionDuration: role.maxSessionSeconds,
    ...(role.tags.length === 0 ? {} : { Tags: role.tags }),
  };
}

/** IAM gives documents percent-encoded. */
export function encodeDocument(text: string): string {
  return encodeURIComponent(text);
}

export function makeId(prefix: string): string {
  return prefix + Array.from({ length: 17 }, () => BASE32[randomInt(32)]).join('');
}

export function exists(message: string): Refusal {
  return new Refusal({ status: 409, code: 'EntityAlreadyExists', message });
}

export function conflict(message: string): Refusal {
  return new Refusal({ status: 409, code: 'DeleteConflict', message });
}
