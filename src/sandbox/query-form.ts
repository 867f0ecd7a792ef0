/**
 * The form of the query protocols as a tree, and its strict reading: `Filter.1.Value.2=x` is {Filter: [{Value: [,x]}]}.
 * A parameter that an action does not name, lacks or cannot read is an error in AWS's words.
 */
import { z } from 'zod';
import { Refusal } from './refusal.ts';

export type FormTree = string | readonly FormTree[] | { readonly [name: string]: FormTree };

/** How parameters are declared. Every value arrives as text. */
export const textParameter = z.string();
export const integerParameter = z
  .string()
  .regex(/^-?\d{1,15}$/)
  .transform(Number);
export const booleanParameter = z
  .string()
  .regex(/^(true|false)$/i)
  .transform((text) => text.toLowerCase() === 'true');

export function enumParameter<const T extends readonly [string, ...string[]]>(values: T) {
  return z.enum(values);
}

/** Empty lists arrive as `Name=` from STS and IAM clients. */
export function listParameter<T extends z.ZodType>(item: T) {
  return z.preprocess((value) => (value === '' ? [] : value), z.array(item));
}

export function structParameter<T extends z.ZodRawShape>(shape: T) {
  return z.strictObject(shape);
}

/** Throws a Refusal for malformed names (`A.1` beside `A.B`, the same name twice). */
export function parseForm(params: URLSearchParams): { readonly [name: string]: FormTree } {
  const root: Branch = new Map();
  for (const [name, value] of params) plant(root, name, value);
  const tree: Record<string, FormTree> = Object.create(null);
  for (const [name, node] of root) tree[name] = grow(node);
  return tree;
}

/** Reads a tree by an action's declaration. Throws UnknownParameter, MissingParameter or InvalidParameterValue. */
export function readForm<T extends z.ZodType>(tree: FormTree, shape: T): z.output<T> {
  const result = shape.safeParse(tree);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw describeIssue(tree, issue);
}

type Branch = Map<string, Branch | string>;

const MAX_DEPTH = 12;

function plant(root: Branch, name: string, value: string): void {
  const path = name.split('.');
  const leaf = path.pop();
  if (leaf === undefined || leaf === '' || path.includes('') || path.length >= MAX_DEPTH) {
    throw malformed(name);
  }
  let branch = root;
  for (const step of path) {
    const next = branch.get(step) ?? new Map<string, Branch | string>();
    if (typeof next === 'string') throw malformed(name);
    branch.set(step, next);
    branch = next;
  }
  if (branch.has(leaf)) throw malformed(name);
  branch.set(leaf, value);
}

function grow(node: Branch | string): FormTree {
  if (typeof node === 'string') return node;
  const only = node.size === 1 ? node.get('member') : undefined;
  if (only instanceof Map && isList(only)) return growList(only);
  if (isList(node)) return growList(node);
  const tree: Record<string, FormTree> = Object.create(null);
  for (const [name, child] of node) tree[name] = grow(child);
  return tree;
}

function isList(branch: Branch): boolean {
  return branch.size > 0 && [...branch.keys()].every((key) => /^\d{1,9}$/.test(key));
}

function growList(branch: Branch): FormTree[] {
  return [...branch].sort(([left], [right]) => Number(left) - Number(right)).map(([, child]) => grow(child));
}

function describeIssue(tree: FormTree, issue: z.core.$ZodIssue | undefined): Refusal {
  const path = issue?.path ?? [];
  const name = nameOf(path);
  if (issue?.code === 'unrecognized_keys') {
    const unknown = nameOf([...path, issue.keys[0] ?? '?']);
    return refuse('UnknownParameter', `The parameter ${unknown} is not recognized`);
  }
  const value = valueAt(tree, path);
  if (value === undefined) {
    return refuse('MissingParameter', `The request must contain the parameter ${name}`);
  }
  const shown = typeof value === 'string' ? value : 'structure';
  return refuse('InvalidParameterValue', `Value (${shown}) for parameter ${name} is invalid.`);
}

/** Lists count from 1 on the wire. */
function nameOf(path: readonly PropertyKey[]): string {
  return path.map((step) => (typeof step === 'number' ? step + 1 : String(step))).join('.');
}

function valueAt(tree: FormTree, path: readonly PropertyKey[]): FormTree | undefined {
  let value: FormTree | undefined = tree;
  for (const step of path) {
    if (value === undefined || typeof value === 'string') return undefined;
    value = (value as { readonly [name: string]: FormTree })[String(step)];
  }
  return value;
}

function refuse(code: string, message: string): Refusal {
  return new Refusal({ status: 400, code, message });
}

function malformed(name: string): Refusal {
  return refuse(
    'MalformedQueryString',
    `The query string contains a syntax error at "${name.slice(0, 100)}"`,
  );
}
