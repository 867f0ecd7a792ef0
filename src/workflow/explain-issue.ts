/** Zod's issues as sentences for an operator, each with its place in the file and what to do. */
import { z } from 'zod';
import { closestWord } from './closest-word.ts';
import { isReferenceIssue } from './env-options.ts';
import { formatPath, type WaveProblem } from './wave-problem.ts';
import { isMapping } from './wave-schema.ts';
import type { YamlText } from './yaml-text.ts';

export type CheckedPart = {
  yaml: YamlText;
  /** What was checked, and the schema it was checked against. */
  value: unknown;
  schema: z.ZodType;
  /** Where the file says what stands at a path within the value. */
  pathInFile: (path: readonly PropertyKey[]) => readonly PropertyKey[];
};

type Issue = z.core.$ZodIssue;
type Said = { what: string; remedy: string | null };

/** The part of a JSON Schema that names keys and describes them. */
type Described = {
  description?: string;
  properties?: Record<string, Described>;
  items?: Described | boolean;
  additionalProperties?: Described | boolean;
  anyOf?: Described[];
};

export function explainIssues(issues: readonly Issue[], part: CheckedPart): WaveProblem[] {
  const described = z.toJSONSchema(part.schema, { io: 'input', unrepresentable: 'any' }) as Described;
  return issues.flatMap((issue) => explainIssue(issue, { ...part, described }));
}

function explainIssue(issue: Issue, part: CheckedPart & { described: Described }): WaveProblem[] {
  const { yaml, value, described } = part;
  const received = valueAt(value, issue.path);
  if (issue.code === 'unrecognized_keys') {
    const known = Object.keys(schemaAt(described, issue.path)?.properties ?? {});
    return issue.keys.map((key) => unknownKey([...issue.path, key], known, part));
  }
  if (issue.code === 'invalid_union' && received !== undefined && !hasOwnMessage(issue)) {
    const issues = closestBranch(issue.errors).map((nested) => ({
      ...nested,
      path: [...issue.path, ...nested.path],
    }));
    if (issues.length > 0) return issues.flatMap((nested) => explainIssue(nested as Issue, part));
  }
  const path = part.pathInFile(issue.path);
  const said = received === undefined ? sayMissing(schemaAt(described, issue.path)) : say(issue, received);
  return [{ ...yaml.positionOf(path), where: formatPath(path), ...said }];
}

function unknownKey(path: readonly PropertyKey[], known: readonly string[], part: CheckedPart): WaveProblem {
  const inFile = part.pathInFile(path);
  const key = String(path.at(-1));
  const meant = closestWord(key, known);
  const remedy = meant === null ? `Known here: ${known.join(', ')}.` : `Did you mean \`${meant}\`?`;
  return {
    ...part.yaml.keyPositionOf(inFile),
    where: formatPath(inFile),
    what: 'is an unknown key',
    remedy: known.length === 0 ? null : remedy,
  };
}

function sayMissing(described: Described | undefined): Said {
  return { what: 'is missing', remedy: described?.description ?? null };
}

function say(issue: Issue, received: unknown): Said {
  if (received === null) return { what: 'is empty', remedy: 'Give it a value, or remove the line.' };
  // Rules across the keys of a map say what to do; messages about one value say what it must be.
  if (hasOwnMessage(issue)) {
    return { what: isMapping(received) ? `is not right: ${issue.message}` : issue.message, remedy: null };
  }
  switch (issue.code) {
    case 'invalid_type':
      return sayWrongType(issue.expected, received);
    case 'invalid_value':
      return sayWrongChoice(issue.values.map(String), received);
    case 'too_small':
      return { what: saySize('at least', issue.origin, Number(issue.minimum)), remedy: null };
    case 'too_big':
      return { what: saySize('at most', issue.origin, Number(issue.maximum)), remedy: null };
    case 'invalid_format':
      return { what: sayFormat(issue.format, issue.pattern), remedy: null };
    default:
      return { what: issue.message, remedy: null };
  }
}

function sayWrongType(expected: string, received: unknown): Said {
  const isScalar = typeof received === 'number' || typeof received === 'boolean';
  let remedy: string | null = null;
  if (expected === 'string') {
    remedy = isScalar ? 'Put it in quotes.' : 'A text that holds a colon or brackets needs quotes.';
  }
  return { what: `must be ${article(expected)}, not ${article(kindOf(received))}`, remedy };
}

function sayWrongChoice(choices: readonly string[], received: unknown): Said {
  const meant = typeof received === 'string' ? closestWord(received, choices) : null;
  return {
    what: `must be ${choices.length === 1 ? '' : 'one of '}${choices.join(', ')}`,
    remedy: meant === null ? null : `Did you mean \`${meant}\`?`,
  };
}

function saySize(bound: 'at least' | 'at most', origin: string, size: number): string {
  switch (origin) {
    case 'string':
      return `must have ${bound} ${size} ${size === 1 ? 'character' : 'characters'}`;
    case 'array':
    case 'set':
    case 'map':
      return `must have ${bound} ${size} ${size === 1 ? 'entry' : 'entries'}`;
    default:
      return `must be ${bound} ${size}`;
  }
}

function sayFormat(format: string, pattern: string | undefined): string {
  if (format === 'regex') return `must match ${pattern ?? 'its pattern'}`;
  const names: Readonly<Record<string, string>> = {
    url: 'a URL',
    ipv4: 'an IPv4 address',
    ipv6: 'an IPv6 address',
    uuid: 'a UUID',
  };
  return `must be ${names[format] ?? `a valid ${format}`}`;
}

/** Of a choice between forms, the one whose form the value has: its problems are the ones worth telling. */
function closestBranch(branches: readonly (readonly Issue[])[]): readonly Issue[] {
  const real = branches.filter((issues) => !issues.some(isReferenceIssue));
  const isWrongForm = (issues: readonly Issue[]): boolean =>
    issues.some(
      ({ code, path }) => path.length === 0 && (code === 'invalid_type' || code === 'invalid_value'),
    );
  const fitting = real.filter((issues) => !isWrongForm(issues));
  return fitting[0] ?? (real.length === 1 ? (real[0] ?? []) : []);
}

/** Zod's own messages are written for programmers; a schema's are written for operators. */
function hasOwnMessage({ message }: Issue): boolean {
  return !/^(Invalid|Too (small|big)|Unrecognized)\b/.test(message);
}

function schemaAt(described: Described, path: readonly PropertyKey[]): Described | undefined {
  let at: Described | undefined = described;
  for (const key of path) {
    const here: Described | undefined = typeof key === 'number' ? inItems(at) : inProperties(at, String(key));
    if (here === undefined) return undefined;
    at = here.anyOf === undefined ? here : { ...here, ...here.anyOf.find(({ properties }) => properties) };
  }
  return at;
}

function inProperties(at: Described | undefined, key: string): Described | undefined {
  const { properties = {}, additionalProperties } = at ?? {};
  if (Object.hasOwn(properties, key)) return properties[key];
  return typeof additionalProperties === 'object' ? additionalProperties : undefined;
}

function inItems(at: Described | undefined): Described | undefined {
  return typeof at?.items === 'object' ? at.items : undefined;
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  let at: unknown = value;
  for (const key of path) {
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, key)) return undefined;
    at = (at as Record<PropertyKey, unknown>)[key];
  }
  return at;
}

function kindOf(value: unknown): string {
  if (Array.isArray(value)) return 'array';
  return isMapping(value) ? 'object' : typeof value;
}

function article(type: string): string {
  const names: Readonly<Record<string, string>> = {
    string: 'a text',
    number: 'a number',
    int: 'a whole number',
    boolean: 'true or false',
    array: 'a list',
    object: 'a map',
    record: 'a map',
  };
  return names[type] ?? `a ${type}`;
}
