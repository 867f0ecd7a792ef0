/**
 * What a long-lived `up` remembers of the environment that it was started with: enough to notice that a shell has other
 * credentials by now, too little to find a value by trying.
 */
import { createHmac, randomBytes } from 'node:crypto';
import { z } from 'zod';
import type { Environment } from './domain/env-reference.ts';

export type EnvironmentDigest = z.infer<typeof environmentDigestSchema>;

export const environmentDigestSchema = z.object({
  salt: z.string(),
  variables: z.record(z.string(), z.string()),
});

/** 32 bits: two values seldom agree by chance, and very many guesses agree with a secret. */
const DIGEST_LETTERS = 8;
/** Credentials, region and endpoints of the vendors' own chains, and whom Node trusts, which it reads at its start only. */
const CLOUD_VARIABLE = /^(AWS|AZURE|IDENTITY|MSI)_|^NODE_EXTRA_CA_CERTS$/;

export function digestEnvironment(environment: Environment): EnvironmentDigest {
  const salt = randomBytes(16).toString('hex');
  const variables = Object.entries(environment).flatMap(([name, value]) =>
    isSet(value) ? [[name, digestValue(salt, value)] as const] : [],
  );
  return { salt, variables: Object.fromEntries(variables) };
}

/** Names of the clouds' variables, and of those named, whose values differ; sorted. */
export function listDifferences(
  { salt, variables }: EnvironmentDigest,
  environment: Environment,
  names: readonly string[],
): string[] {
  const clouds = [...Object.keys(variables), ...Object.keys(environment)].filter((name) =>
    CLOUD_VARIABLE.test(name),
  );
  return [...new Set([...clouds, ...names])].sort().filter((name) => {
    const value = environment[name];
    return variables[name] !== (isSet(value) ? digestValue(salt, value) : undefined);
  });
}

function digestValue(salt: string, value: string): string {
  return createHmac('sha256', salt).update(value).digest('hex').slice(0, DIGEST_LETTERS);
}

/** Empty counts as not set, as everywhere. */
function isSet(value: string | undefined): value is string {
  return value !== undefined && value.trim() !== '';
}
