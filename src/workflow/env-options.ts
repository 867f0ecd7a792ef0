/**
 * Lets `${env:NAME}` stand wherever an adapter's schema wants a text of a certain form: what it stands for is known
 * only to the worker, where the adapter checks it again.
 */
import { z } from 'zod';
import type { JsonObject } from '../domain/json.ts';

const REFERENCE = /\$\{env:[A-Za-z_][A-Za-z0-9_]*\}/;

// `abort`: where neither form fits, the union then tells what is wrong with the other one.
const referenceSchema = z.string().regex(REFERENCE, { abort: true });

export function allowEnvReferences(schema: z.ZodType<JsonObject>): z.ZodType<JsonObject> {
  // A schema with rules across its keys cannot be rebuilt without losing them: it stays as strict as it is.
  if (!(schema instanceof z.ZodObject) || (schema.def.checks ?? []).length > 0) return schema;
  const shape: Record<string, z.ZodType> = {};
  for (const [key, field] of Object.entries<z.ZodType>(schema.shape)) {
    shape[key] = takesSomeTexts(field) ? describeAs(z.union([referenceSchema, field]), field) : field;
  }
  return z.strictObject(shape) as unknown as z.ZodType<JsonObject>;
}

/** Is this the issue of our alternative, which no operator needs to hear of? */
export function isReferenceIssue(issue: z.core.$ZodIssue): boolean {
  return issue.code === 'invalid_format' && issue.pattern === String(REFERENCE);
}

/** A text, but not any text. */
function takesSomeTexts(field: z.ZodType): boolean {
  const {
    type,
    pattern,
    format,
    enum: values,
  } = z.toJSONSchema(field, { io: 'input', unrepresentable: 'any' });
  return type === 'string' && (pattern ?? format ?? values) !== undefined;
}

function describeAs(union: z.ZodType, field: z.ZodType): z.ZodType {
  return field.description === undefined ? union : union.describe(field.description);
}
