/** One request to Resource Manager, understood: what is asked for and on what. */
import { z } from 'zod';
import type { JsonObject } from '../../domain/json.ts';
import type { HttpAnswer, HttpRequest } from '../http.ts';
import type { Refusal } from '../refusal.ts';
import { refuse } from './refusals.ts';

export type ArmCall = {
  http: HttpRequest;
  /** As the REST specifications name it, for example `Disks_GrantAccess`. */
  action: string;
  /** What the address names in braces, for example {name: 'web01-disk0'}. */
  parameters: Readonly<Record<string, string>>;
  /** Of the thing that is asked for, `/subscriptions/…`, as the address has it. */
  id: string;
  apiVersion: string;
  /** Parsed JSON; undefined without a body. */
  body: unknown;
  /** What a test wants the operation to end with. */
  lateError: Refusal | null;
};

export function parameterOf(call: ArmCall, name: string): string {
  return call.parameters[name] ?? '';
}

/** Throws InvalidRequestContent where something is missing, of another type, or not known to the sandbox. */
export function readBody<T extends z.ZodType>(schema: T, { body }: ArmCall): z.output<T> {
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data;
  const issues = parsed.error.issues.map((issue) => `${issue.path.join('.') || 'body'}: ${issue.message}`);
  throw refuse(
    400,
    'InvalidRequestContent',
    `The request content was invalid and could not be deserialized: '${issues.join('; ')}'.`,
  );
}

/** Writes JSON without the members that are undefined. */
export function answerArmJson(status: number, body: JsonObject): HttpAnswer {
  const headers = { 'content-type': 'application/json; charset=utf-8' };
  return { status, headers, body: { kind: 'text', text: JSON.stringify(body) } };
}

/** https://learn.microsoft.com/azure/azure-resource-manager/management/tag-resources#limitations */
export const tagsSchema = z
  .record(z.string().max(512), z.string().max(256))
  .refine((tags) => Object.keys(tags).length <= 50, 'at most 50 tags')
  .refine(
    (tags) => Object.keys(tags).every((name) => !/[<>%&\\?/]/.test(name)),
    'a tag name holds one of <>%&\\?/',
  );
