/**
 * `${env:NAME}` in a wave's options stands for a variable of the worker that uses it. References stay as they are in
 * waves, records and jobs, so secrets never get there; the worker resolves them just before it needs them.
 */
import { LandfallError } from './errors.ts';
import type { JsonObject, JsonValue } from './json.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

const REFERENCE = /\$\{env:([^}]*)\}/g;
/** What POSIX allows in the name of a variable. */
const NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;

/**
 * The value with every reference in it replaced. An empty variable counts as not set: an empty secret is a mistake.
 * Throws `preflight-refused` and names all that are not set; another worker may have them, so it may be tried again.
 */
export function resolveEnvReferences(value: JsonValue, environment: Environment): JsonValue {
  const missing = findUnset(value, environment);
  if (missing.length > 0) throw notSet(missing);
  return mapTexts(value, (text) => text.replace(REFERENCE, (_, name: string) => environment[name] ?? ''));
}

/** The names that the value refers to, each once, in order of appearance. */
export function listEnvReferences(value: JsonValue): string[] {
  const names = new Set<string>();
  mapTexts(value, (text) => {
    for (const [, name] of text.matchAll(REFERENCE)) if (name !== undefined) names.add(name);
    return text;
  });
  return [...names];
}

/** Those of them that could not be resolved. */
export function findUnset(value: JsonValue, environment: Environment): string[] {
  return listEnvReferences(value).filter((name) => !isSet(environment, name));
}

/**
 * What others said, such as an error or a server's answer, with the values of these references as the wave has them. A
 * value in an address is said with its reserved letters escaped, too.
 */
export function hideEnvValues(said: string, value: JsonValue, environment: Environment): string {
  const forms = listEnvReferences(value).flatMap((name) =>
    formsOf(environment[name] ?? '').map((form) => ({ form, reference: `\${env:${name}}` })),
  );
  // The longest first: one value may be part of another.
  forms.sort((one, other) => other.form.length - one.form.length);
  return forms.reduce((text, { form, reference }) => text.replaceAll(form, () => reference), said);
}

/** Names in references that no variable can have, for example in `${env:db-password}`. */
export function findBadEnvReference(text: string): string | null {
  for (const [reference, name] of text.matchAll(REFERENCE)) if (!NAME.test(name ?? '')) return reference;
  return null;
}

function formsOf(value: string): string[] {
  const forms = [value, encodeURI(value), encodeURIComponent(value), URL.parse(value)?.href ?? ''];
  return [...new Set(forms)].filter((form) => form !== '');
}

function isSet(environment: Environment, name: string): boolean {
  return Object.hasOwn(environment, name) && (environment[name] ?? '') !== '';
}

function mapTexts(value: JsonValue, change: (text: string) => string): JsonValue {
  if (typeof value === 'string') return change(value);
  if (value === null || typeof value !== 'object') return value;
  if (Array.isArray(value)) return value.map((item) => mapTexts(item, change));
  const entries = Object.entries(value).map(([key, item]) => [key, mapTexts(item, change)] as const);
  return Object.fromEntries(entries) satisfies JsonObject;
}

function notSet(names: readonly string[]): LandfallError {
  const [variable, verb] = names.length === 1 ? ['variable', 'is'] : ['variables', 'are'];
  return new LandfallError({
    code: 'preflight-refused',
    message:
      `The wave refers to the environment ${variable} ${names.join(', ')}, which ${verb} not set (or empty) here. ` +
      `At a shell: \`export ${names[0]}=…\`, then the command again. ` +
      'On a worker: set it where the worker is started, then start the worker again.',
    retryable: true,
    context: { names: names.join(',') },
  });
}
