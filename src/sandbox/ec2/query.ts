/** What all Describe actions share: ids, filters with wildcards, tag filters, pages. */
import { integerParameter, listParameter, structParameter, textParameter } from '../query-form.ts';
import { refuse } from './refusals.ts';
import type { Tags } from './state.ts';

const filterList = listParameter(
  structParameter({ Name: textParameter, Value: listParameter(textParameter).optional() }),
);

export type Filter = { Name: string; Value?: string[] | undefined };

export const filterParameters = { Filter: filterList.optional() };
/** The import tasks' own spelling. */
export const filtersParameters = { Filters: filterList.optional() };
export const pageParameters = {
  MaxResults: integerParameter.optional(),
  NextToken: textParameter.optional(),
};

export const idsParameter = listParameter(textParameter).optional();

/** By filter name: what a member says for it. null and absent values match nothing. */
export type FilterFields<T> = Readonly<
  Record<string, (member: T) => string | readonly string[] | null | undefined>
>;

export type Selection<T> = {
  members: readonly T[];
  filters: readonly Filter[] | undefined;
  fields: FilterFields<T>;
  /** null where the resource carries no tags. */
  tags: ((member: T) => Tags) | null;
};

/** The members that meet every filter. Throws InvalidParameterValue for a filter that the action has not. */
export function filterMembers<T>({ members, filters = [], fields, tags }: Selection<T>): T[] {
  const tests = filters.map((filter) => createTest({ filter, fields, tags }));
  return members.filter((member) => tests.every((test) => test(member)));
}

export type Page<T> = { members: readonly T[]; nextToken: string | null };

/**
 * One page in a stable order: `orderOf` gives each member's sort key, unique; the token is the last key given out, so
 * members that come or go meanwhile neither repeat nor hide others.
 */
export function cutPage<T>({
  members,
  orderOf,
  maxResults,
  nextToken,
}: {
  members: readonly T[];
  orderOf: (member: T) => string;
  maxResults: number | undefined;
  nextToken: string | undefined;
}): Page<T> {
  checkPageSize(maxResults);
  const after = nextToken === undefined ? null : readToken(nextToken);
  const sorted = members
    .map((member) => ({ member, key: orderOf(member) }))
    .filter(({ key }) => after === null || key > after)
    .sort((left, right) => (left.key < right.key ? -1 : 1));
  const page = sorted.slice(0, maxResults ?? MAX_PAGE);
  const last = page.at(-1);
  const isCut = last !== undefined && page.length < sorted.length;
  return { members: page.map(({ member }) => member), nextToken: isCut ? writeToken(last.key) : null };
}

/** Creation order, then id. */
export function orderByCreation(member: { id: string; createdAt: number }): string {
  return `${String(member.createdAt).padStart(15, '0')} ${member.id}`;
}

const MIN_PAGE = 5;
const MAX_PAGE = 1000;

function checkPageSize(maxResults: number | undefined): void {
  if (maxResults === undefined || (maxResults >= MIN_PAGE && maxResults <= MAX_PAGE)) return;
  const bound = maxResults < MIN_PAGE ? `greater than ${MIN_PAGE}` : `less than ${MAX_PAGE}`;
  throw refuse(
    'InvalidParameterValue',
    `Value ( ${maxResults} ) for parameter maxResults is invalid. Expecting a value ${bound}.`,
  );
}

function writeToken(key: string): string {
  return Buffer.from(`page ${key}`).toString('base64url');
}

function readToken(token: string): string {
  const text = Buffer.from(token, 'base64url').toString();
  if (!text.startsWith('page ')) throw refuse('InvalidPaginationToken', `The token '${token}' is invalid.`);
  return text.slice('page '.length);
}

function createTest<T>({
  filter,
  fields,
  tags,
}: {
  filter: Filter;
  fields: FilterFields<T>;
  tags: ((member: T) => Tags) | null;
}): (member: T) => boolean {
  const patterns = (filter.Value ?? []).map(compilePattern);
  const isMatch = (value: string) => patterns.some((pattern) => pattern.test(value));
  const { Name: name } = filter;
  if (tags !== null && name === 'tag-key') return (member) => Object.keys(tags(member)).some(isMatch);
  if (tags !== null && name.startsWith('tag:')) {
    const key = name.slice('tag:'.length);
    return (member) => Object.hasOwn(tags(member), key) && isMatch(tags(member)[key] ?? '');
  }
  const field = Object.hasOwn(fields, name) ? fields[name] : undefined;
  if (field === undefined) throw refuse('InvalidParameterValue', `The filter '${name}' is invalid`);
  return (member) => [field(member) ?? []].flat().some(isMatch);
}

/** `*` and `?` as in file names; a backslash makes them plain. */
function compilePattern(value: string): RegExp {
  const source = value.replace(/\\([*?\\])|([*?])|([.+^${}()|[\]\\])/g, (_, plain, wild, special) => {
    if (plain !== undefined) return `\\${plain}`;
    if (wild !== undefined) return wild === '*' ? '.*' : '.';
    return `\\${special}`;
  });
  return new RegExp(`^${source}$`, 's');
}
