/**
 * Reads IAM's policy documents and decides by them: an explicit deny wins, then an allow, else it is denied.
 * https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
 */
import { z } from 'zod';
import { Refusal } from './refusal.ts';

export type PolicyQuestion = {
  /** For example `s3:GetObject`. */
  action: string;
  /** An ARN, or `*`. */
  resource: string;
  /** Condition keys and their values; the keys' case does not matter. */
  conditions?: Readonly<Record<string, string>>;
};

export type TrustQuestion = { service: string; conditions: Readonly<Record<string, string>> };

export type Decision = 'allowed' | 'explicitDeny' | 'implicitDeny';

const texts = z.union([z.string(), z.array(z.string())]);
const conditions = z.record(z.string(), z.record(z.string(), texts));
const effect = z.enum(['Allow', 'Deny']);
const statement = z.strictObject({
  Sid: z.string().optional(),
  Effect: effect,
  Action: texts.optional(),
  NotAction: texts.optional(),
  Resource: texts.optional(),
  NotResource: texts.optional(),
  Condition: conditions.optional(),
});
const trustStatement = z.strictObject({
  Sid: z.string().optional(),
  Effect: effect,
  Principal: z.union([z.literal('*'), z.partialRecord(z.enum(['Service', 'AWS', 'Federated']), texts)]),
  Action: texts,
  Condition: conditions.optional(),
});
const policy = documentOf(
  statement.refine(
    (given) =>
      (given.Action === undefined) !== (given.NotAction === undefined) &&
      (given.Resource === undefined) !== (given.NotResource === undefined),
  ),
);
const trust = documentOf(trustStatement);

type Statement = z.output<typeof statement>;
type TrustStatement = z.output<typeof trustStatement>;

/** Throws MalformedPolicyDocument. */
export function parsePolicy(text: string): readonly Statement[] {
  return asList(parseDocument(text, policy).Statement);
}

/** Throws MalformedPolicyDocument. */
export function parseTrust(text: string): readonly TrustStatement[] {
  return asList(parseDocument(text, trust).Statement);
}

export function decide(statements: readonly Statement[], question: PolicyQuestion): Decision {
  const met = statements.filter((given) => meets(given, question));
  if (met.some(({ Effect }) => Effect === 'Deny')) return 'explicitDeny';
  return met.length > 0 ? 'allowed' : 'implicitDeny';
}

/** May the service take the role? */
export function isTrusted(statements: readonly TrustStatement[], question: TrustQuestion): boolean {
  const met = statements.filter((given) => {
    const services = given.Principal === '*' ? ['*'] : asList(given.Principal.Service ?? []);
    const isNamed = services.some((name) => name === '*' || name === question.service);
    const isAssume = asList(given.Action).some((pattern) => isLike(pattern, 'sts:AssumeRole'));
    return isNamed && isAssume && holdConditions(given, question.conditions);
  });
  return met.length > 0 && met.every(({ Effect }) => Effect === 'Allow');
}

function documentOf<T extends z.ZodType>(item: T) {
  return z.strictObject({
    Version: z.enum(['2012-10-17', '2008-10-17']).optional(),
    Id: z.string().optional(),
    Statement: z.union([item, z.array(item)]),
  });
}

function parseDocument<T extends z.ZodType>(text: string, schema: T): z.output<T> {
  const result = schema.safeParse(parseJson(text));
  if (result.success) return result.data;
  throw new Refusal({ status: 400, code: 'MalformedPolicyDocument', message: 'Syntax errors in policy.' });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    const message = 'This policy contains invalid Json';
    throw new Refusal({ status: 400, code: 'MalformedPolicyDocument', message });
  }
}

function meets(given: Statement, { action, resource, conditions = {} }: PolicyQuestion): boolean {
  // Actions are matched without regard to case, resources with it.
  const isAction = (pattern: string) => isLike(pattern.toLowerCase(), action.toLowerCase());
  const isResource = (pattern: string) => isLike(pattern, resource);
  const actionMet =
    given.Action === undefined
      ? !asList(given.NotAction ?? []).some(isAction)
      : asList(given.Action).some(isAction);
  const resourceMet =
    given.Resource === undefined
      ? !asList(given.NotResource ?? []).some(isResource)
      : asList(given.Resource).some(isResource);
  return actionMet && resourceMet && holdConditions(given, conditions);
}

/** An operator that is not understood never lets an allow through, and always lets a deny. */
function holdConditions(
  { Effect, Condition }: Pick<Statement, 'Effect' | 'Condition'>,
  given: Readonly<Record<string, string>>,
): boolean {
  const values = new Map(Object.entries(given).map(([name, value]) => [name.toLowerCase(), value]));
  return Object.entries(Condition ?? {}).every(([operator, keys]) =>
    Object.entries(keys).every(([key, wanted]) => {
      const value = values.get(key.toLowerCase());
      return holds({ operator, value, wanted: asList(wanted) }) ?? Effect === 'Deny';
    }),
  );
}

function holds({
  operator,
  value,
  wanted,
}: {
  operator: string;
  value: string | undefined;
  wanted: readonly string[];
}): boolean | null {
  switch (operator) {
    case 'StringEquals':
    case 'ArnEquals':
      return value !== undefined && wanted.includes(value);
    case 'StringLike':
    case 'ArnLike':
      return value !== undefined && wanted.some((pattern) => isLike(pattern, value));
    case 'StringNotEquals':
      return value === undefined || !wanted.includes(value);
    default:
      return null;
  }
}

/** `*` stands for any characters, `?` for one. Walks both once, so that no pattern can take long. */
function isLike(pattern: string, text: string): boolean {
  let [at, mark, star, retry] = [0, 0, -1, 0];
  while (at < text.length) {
    if (pattern[mark] === '*') {
      star = mark;
      retry = at;
      mark += 1;
    } else if (mark < pattern.length && (pattern[mark] === '?' || pattern[mark] === text[at])) {
      at += 1;
      mark += 1;
    } else if (star >= 0) {
      retry += 1;
      at = retry;
      mark = star + 1;
    } else {
      return false;
    }
  }
  return /^\**$/.test(pattern.slice(mark));
}

function asList<T>(value: T | readonly T[]): readonly T[] {
  return Array.isArray(value) ? value : [value as T];
}
