/**
 * Tokens of a small team: a file that people can read, with a name, a role and the SHA-256 of each token. A plain hash is
 * enough because tokens are 256 random bits that we make; what does not look like one of ours is never looked up, so
 * nobody can bring a password that could be guessed.
 */
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { parse, stringify } from 'yaml';
import { z } from 'zod';
import { LandfallError } from '../../domain/errors.ts';
import { type Role, roleSchema } from '../api/session.ts';
import { oneLine } from './one-line.ts';

const MAX_NAME_CHARS = 100;

const entrySchema = z.strictObject({
  name: z.string().refine((name) => name !== '' && name === oneLine(name, MAX_NAME_CHARS), {
    error: `expected a name of one line, without control characters, of ${MAX_NAME_CHARS} characters at most`,
  }),
  role: roleSchema,
  sha256: z.string().regex(/^[0-9a-f]{64}$/, 'expected the 64 hexadecimal digits of a SHA-256'),
  /** Day, as text: for people. */
  made: z.string().optional(),
  /** From this moment on it counts no more. */
  expires: z.iso.datetime({ offset: true }).or(z.iso.date()).optional(),
});
const fileSchema = z.array(entrySchema).superRefine((entries, context) => {
  for (const [index, { name }] of entries.entries())
    if (entries.findIndex((other) => other.name === name) !== index)
      context.addIssue({ code: 'custom', path: [index, 'name'], message: `${name} is there twice` });
});

export type TokenEntry = z.infer<typeof entrySchema>;

const TOKEN = /^lf_[A-Za-z0-9_-]{43}$/;
const SECRET_BYTES = 32;
const WRITABLE_BY_OTHERS = 0o002;

const TITLE = `# Who may use the dashboard: \`landfall token NAME --role ROLE\` adds entries, and deleting one locks its holder out at once.
# The tokens themselves are not here: sha256 is the digest of one.
`;

export function digestToken(token: string): string | null {
  return TOKEN.test(token) ? createHash('sha256').update(token).digest('hex') : null;
}

export function isCurrent({ expires }: TokenEntry): boolean {
  return expires === undefined || Date.now() < Date.parse(expires);
}

/** null: there is no such file. Throws `usage` where it is none of ours, or anybody may write to it. */
export async function readTokenFile(file: string): Promise<TokenEntry[] | null> {
  let text: string;
  try {
    const { mode } = await stat(file);
    if ((mode & WRITABLE_BY_OTHERS) !== 0)
      throw unusable(file, 'anybody on this machine may write to it. Take that away with `chmod o-w`');
    text = await readFile(file, 'utf8');
  } catch (error) {
    if (error instanceof LandfallError) throw error;
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw unusable(file, (error as Error).message);
  }
  return parseEntries(file, text);
}

/**
 * Makes a token, adds it to the file (which is made where it is missing) and gives it: it is nowhere else. Throws
 * `conflict` where the name has one already, unless it is to be replaced.
 */
export async function addToken(
  file: string,
  wanted: { name: string; role: Role; expires: Date | null; replaces: boolean; now: Date },
): Promise<string> {
  const { name, role, expires, replaces, now } = wanted;
  const entries = (await readTokenFile(file)) ?? [];
  const isName = entrySchema.shape.name.safeParse(name);
  if (!isName.success) throw badName(name, isName.error.issues[0]?.message ?? '');
  if (!replaces && entries.some((entry) => entry.name === name)) throw nameTaken(name, file);
  const token = `lf_${randomBytes(SECRET_BYTES).toString('base64url')}`;
  const entry: TokenEntry = {
    name,
    role,
    sha256: digestToken(token) ?? '',
    made: now.toISOString().slice(0, 10),
    ...(expires === null ? {} : { expires: expires.toISOString() }),
  };
  await writeEntries(file, [...entries.filter((other) => other.name !== name), entry]);
  return token;
}

/** Throws `not-found` where the name has none. */
export async function removeToken(file: string, name: string): Promise<void> {
  const entries = (await readTokenFile(file)) ?? [];
  const others = entries.filter((entry) => entry.name !== name);
  if (others.length === entries.length) throw noSuchName(name, { file, entries });
  await writeEntries(file, others);
}

/** Whole or not at all: a dashboard may be reading it. */
async function writeEntries(file: string, entries: readonly TokenEntry[]): Promise<void> {
  const partial = `${file}.${randomUUID()}.partial`;
  try {
    await mkdir(dirname(file), { recursive: true });
    await writeFile(partial, TITLE + stringify(entries), { mode: 0o600 });
    await rename(partial, file);
  } catch (error) {
    await rm(partial, { force: true });
    throw new LandfallError({
      code: 'usage',
      message: `The dashboard's tokens could not be written to ${file}: ${(error as Error).message}. Nothing was changed; set LANDFALL_DASHBOARD_TOKENS to a file that can be written.`,
      cause: error,
    });
  }
}

function parseEntries(file: string, text: string): TokenEntry[] {
  let document: unknown;
  try {
    document = parse(text, { schema: 'core' });
  } catch (error) {
    throw unusable(file, `it is not YAML: ${(error as Error).message.split('\n')[0]}`);
  }
  const parsed = fileSchema.safeParse(document ?? []);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const place = issue?.path.map(String).join('.') ?? '';
  throw unusable(file, `${place === '' ? '' : `${place}: `}${issue?.message}`);
}

function badName(name: string, why: string): LandfallError {
  return new LandfallError({
    code: 'usage',
    message: `No token was made for ${JSON.stringify(name.slice(0, 100))}: ${why}.`,
  });
}

function nameTaken(name: string, file: string): LandfallError {
  return new LandfallError({
    code: 'conflict',
    message: `${name} has a token in ${file} already. With --replace the old one ends and a new one is made.`,
  });
}

function noSuchName(
  name: string,
  { file, entries }: { file: string; entries: readonly TokenEntry[] },
): LandfallError {
  const there = entries.length === 0 ? 'nobody' : entries.map((entry) => entry.name).join(', ');
  return new LandfallError({
    code: 'not-found',
    message: `${name} has no token in ${file}; there ${there} has.`,
  });
}

function unusable(file: string, why: string): LandfallError {
  return new LandfallError({
    code: 'usage',
    message: `The dashboard's tokens in ${file} cannot be used: ${why.replace(/\.$/, '')}.`,
  });
}
