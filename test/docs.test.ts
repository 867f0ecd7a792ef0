/** What the docs say against what the code holds: nothing is missing, and nothing is there that the code no longer has. */
import { glob, readFile } from 'node:fs/promises';
import { basename, dirname, join, normalize } from 'node:path';
import { describe, expect, test } from 'vitest';
import { sources, targets } from '../adapters/registry.ts';
import { explainImportFailure } from '../adapters/targets/aws/import-messages.ts';
import { trustsImporter } from '../adapters/targets/aws/preflight-account.ts';
import type { CommandContext } from '../src/cli/command-context.ts';
import { createProgram } from '../src/cli/program.ts';
import { ENVIRONMENT } from '../src/config.ts';
import { type ErrorCode, exitStatusOf, LandfallError } from '../src/domain/errors.ts';
import { describeWaveFile } from '../src/workflow/wave-json-schema.ts';
import { anchorsOf, fencedBlocks, localLinks, type Page, sectionOf, tableRows } from './docs/markdown.ts';

const pages = await readPages(['README.md', 'docs/*.md']);
const [architecture, operations, aws, wave] = ['architecture', 'operations', 'aws', 'wave'].map((name) =>
  pageAt(`docs/${name}.md`),
) as [Page, Page, Page, Page];
const files = await listFiles(['{src,adapters,test,tools,workflows}/**/*.*', 'docs/**/*.{json,png}', '*.*']);

describe('every page', () => {
  test.each(pages.map((page) => [page.path, page] as const))('%s links to what is there', (path, page) => {
    for (const link of localLinks(page)) {
      const [file = '', anchor] = link.split('#');
      const target = file === '' ? path : normalize(join(dirname(path), file));
      const linked = pages.find((candidate) => candidate.path === target);
      expect(linked !== undefined || files.includes(target), `${path} links to ${link}`).toBe(true);
      if (anchor !== undefined && linked !== undefined) expect(anchorsOf(linked)).toContain(anchor);
    }
  });

  test.each(pages.flatMap(commandLines))('%s shows a command that exists: %s', async (_, line) => {
    await expect(parseCommand(line)).resolves.not.toBe('');
  });

  test('shows JSON that is JSON', () => {
    const lines = pages.flatMap((page) => fencedBlocks(page, 'json')).flatMap(jsonTexts);
    expect(lines.length).toBeGreaterThan(5);
    for (const line of lines) expect(() => JSON.parse(line), line).not.toThrow();
  });
});

describe('docs/architecture.md', () => {
  const named = [...architecture.text.matchAll(/`([\w./-]+\.(?:ts|json))`/g)].map(([, name = '']) => name);

  test('names files that are there', () => {
    const names = new Set([...files.map((file) => basename(file)), 'proof.json']);
    expect(named.length).toBeGreaterThan(60);
    expect(named.filter((name) => !(name.includes('/') ? files : [...names]).includes(name))).toEqual([]);
  });

  test('names every stage and every room', () => {
    const stages = files.filter((file) =>
      /^src\/stages\/(export|convert|upload|import|validate|admit)\.ts$/.test(file),
    );
    expect(named).toEqual(expect.arrayContaining(stages));
    const rooms = new Set(files.flatMap((file) => /^src\/(\w+)\//.exec(file)?.[1] ?? []));
    for (const room of rooms) expect(sectionOf(architecture, 'Rooms')).toContain(`\`src/${room}\``);
  });
});

describe('docs/operations.md', () => {
  const { commands } = createProgram(silentContext());

  test.each(commands.map((command) => [command.name(), command] as const))(
    'has %s and its options',
    (name, command) => {
      const rows = tableRows(sectionOf(operations, 'Commands and options'));
      const row = rows.find(([first = '']) => first.split(/[` ]/).includes(name))?.join(' ') ?? '';
      const options = command.options.map((option) => option.long ?? option.short ?? '');
      expect(options.filter((option) => !row.includes(option))).toEqual([]);
      const known = new Set([...options, '--failed', '--help']);
      expect(
        [...row.matchAll(/--[a-z-]+/g)].map(([option]) => option).filter((option) => !known.has(option)),
      ).toEqual([]);
    },
  );

  test('has no other commands', () => {
    const rows = tableRows(sectionOf(operations, 'Commands and options'));
    expect(rows.map(([first = '']) => first.split(/[` ]/)[1]).sort()).toEqual(
      commands.map((command) => command.name()).sort(),
    );
  });

  test('has every error code under its exit status, and no other', async () => {
    const codes = await errorCodes();
    expect(codes.length).toBeGreaterThan(20);
    const [, input = '', onTheWay = ''] = sectionOf(operations, 'Error codes').split(
      /^\*\*.*exit status \d.*\*\*$/m,
    );
    const listed = [input, onTheWay].map((text) => tableRows(text).flatMap(([first = '']) => plain(first)));
    const expected = [2, 1].map((status) =>
      codes.filter((code) => exitStatusOf(new LandfallError({ code, message: '' })) === status),
    );
    expect(listed.map((each) => each.filter((code) => code !== 'code').sort())).toEqual(
      expected.map((each) => each.sort()),
    );
  });

  test('has every variable of the environment', () => {
    const variables = tableRows(sectionOf(operations, 'Environment')).map(([first = '']) => plain(first));
    expect(variables).toEqual(expect.arrayContaining(Object.keys(ENVIRONMENT)));
  });
});

describe('docs/wave.md', () => {
  const keys = listKeys(describeWaveFile({ sources, targets }) as Schema, []);

  test.each(keys.map((key) => [key.path.join('.'), key] as const))(
    'has %s, its default and its choices',
    (_, key) => {
      const row = rowsOf(key).find(([first = '']) => plain(first) === key.name);
      expect(row, `a row for ${key.name} under ${headingOf(key)}`).toBeDefined();
      for (const choice of choicesOf(key.schema)) expect(row?.join(' ')).toContain(choice);
      if (key.schema.default !== undefined) expect(row?.[2]).toContain(String(key.schema.default));
    },
  );

  test('has no key that the schema does not know', () => {
    const known = new Set(keys.map((key) => `${headingOf(key)} ${key.name}`));
    const listed = [...new Set(keys.map(headingOf))].flatMap((heading) =>
      tableRows(sectionOf(wave, heading)).map(([first = '']) => `${heading} ${plain(first)}`),
    );
    expect(listed.filter((each) => !known.has(each))).toEqual([]);
  });
});

describe('docs/aws.md', async () => {
  const calls = await listCalls();
  const policies = fencedBlocks(aws, 'json').map((text) => JSON.parse(text) as Policy);
  const granted = actionsOf(policies.find(({ Statement }) => Statement?.some(({ Sid }) => Sid === 'Make')));
  const rolePolicy = policies.find((policy) => actionsOf(policy).includes('ec2:CopySnapshot'));

  test.each(calls.map((call) => [`${call.service}:${call.name}`, call] as const))(
    'grants and lists %s',
    (_, call) => {
      expect(granted).toContain(actionFor(call));
      expect(sectionOf(aws, '3. The identity')).toContain(call.name);
    },
  );

  test('grants nothing that no call needs', () => {
    const needed = new Set([...calls.map(actionFor), 's3:DeleteObjectVersion', 'iam:PassRole']);
    expect(granted.filter((action) => !needed.has(action))).toEqual([]);
  });

  test('shows a trust policy and a role policy that pre-flight accepts', async () => {
    const trust = policies.find(({ Statement }) =>
      Statement?.some(({ Principal }) => Principal !== undefined),
    );
    expect(trustsImporter(encodeURIComponent(JSON.stringify(trust)))).toBe(true);
    const text = await readFile('adapters/targets/aws/preflight-account.ts', 'utf8');
    const asked = [...text.matchAll(/actions: \[(.*)\], resource/g)].flatMap(
      ([, list = '']) => list.match(/\w+:\w+/g) ?? [],
    );
    expect(asked.length).toBeGreaterThan(3);
    expect(actionsOf(rolePolicy)).toEqual(expect.arrayContaining(asked));
  });

  test('knows every import failure that the adapter knows, and says which are tried again', async () => {
    const rows = tableRows(sectionOf(aws, 'Known import failures')).filter(
      ([said]) => !said?.startsWith('anything'),
    );
    const explained = rows.map(([said = '', meaning = '']) => ({
      said,
      meaning,
      ...explainImportFailure(said),
    }));
    const { explanation: unknown } = explainImportFailure('ClientError: something new');
    expect(explained.filter(({ explanation }) => explanation === unknown)).toEqual([]);
    for (const { said, meaning, retryable } of explained)
      expect(meaning.includes('Retried'), said).toBe(retryable);
    const text = await readFile('adapters/targets/aws/import-messages.ts', 'utf8');
    const knownCount = text.match(/^ {4}pattern:/gm)?.length;
    expect(new Set(explained.map(({ explanation }) => explanation)).size).toBe(knownCount);
  });
});

async function readPages(patterns: string[]): Promise<Page[]> {
  const paths = await listFiles(patterns);
  return Promise.all(paths.map(async (path) => ({ path, text: await readFile(path, 'utf8') })));
}

async function listFiles(patterns: string[]): Promise<string[]> {
  const paths: string[] = [];
  for await (const path of glob(patterns)) paths.push(path);
  return paths.sort();
}

function pageAt(path: string): Page {
  const page = pages.find((candidate) => candidate.path === path);
  if (page === undefined) throw new Error(`there is no ${path}`);
  return page;
}

/** The first thing in backquotes, else the whole. */
function plain(cell: string): string {
  return /`([^`]+)`/.exec(cell)?.[1] ?? cell;
}

/** A block is one JSON text, or one in each line. */
function jsonTexts(block: string): string[] {
  try {
    JSON.parse(block);
    return [block];
  } catch {
    return block.trim().split('\n');
  }
}

/** Every `landfall …` in shell blocks and in running text. */
function commandLines(page: Page): [path: string, line: string][] {
  const blocks = fencedBlocks(page, 'sh').flatMap((block) => block.split('\n'));
  const inline = [...page.text.matchAll(/`(landfall [^`\n]+)`/g)].map(([, line = '']) => line);
  const lines = [...blocks, ...inline]
    .map((line) => line.replace(/\s+#.*$/, '').replace(/^npx /, ''))
    .filter((line) => line.startsWith('landfall ') && !line.includes('…') && !line.includes('--version'));
  return [...new Set(lines)].map((line) => [page.path, line]);
}

/** The name of the command whose action would run; for a command that is only named, its name. */
async function parseCommand(line: string): Promise<string> {
  const program = createProgram(silentContext());
  const [first, ...rest] = line.split(/\s+/).slice(1);
  if (rest.length === 0 && program.commands.some((command) => command.name() === first)) return first ?? '';
  let taken = '';
  for (const command of program.commands) {
    command.action(() => {
      taken = command.name();
    });
  }
  await program.parseAsync([first ?? '', ...rest], { from: 'user' });
  return taken;
}

function silentContext(): CommandContext {
  return { terminal: { remark: () => {} } } as unknown as CommandContext;
}

async function errorCodes(): Promise<ErrorCode[]> {
  const text = await readFile('src/domain/errors.ts', 'utf8');
  return [...text.matchAll(/^ {2}\| '([a-z-]+)'/gm)].map(([, code]) => code as ErrorCode);
}

type Schema = {
  properties?: Record<string, Schema>;
  items?: Schema;
  anyOf?: Schema[];
  allOf?: { if?: { properties?: Record<string, { required?: string[] }> }; then?: Schema }[];
  enum?: unknown[];
  default?: unknown;
};
type Key = {
  name: string;
  parent: string;
  /** Whose key it is, where that depends on the source or the target. */
  vendor: string | null;
  path: readonly string[];
  schema: Schema;
};

/** Every key that a wave file may hold, each place once. */
function listKeys(schema: Schema, path: readonly string[], vendor: string | null = null): Key[] {
  const own = Object.entries(schema.properties ?? {}).flatMap(([name, child]) => [
    { name, parent: path.at(-1) ?? '', vendor, path: [...path, name], schema: child },
    ...listKeys(child, [...path, name], vendor),
  ]);
  const parts = [schema.items, ...(schema.anyOf ?? [])].map((part) => ({ part, of: vendor }));
  const byVendor = (schema.allOf ?? []).map((each) => ({
    part: each.then,
    of: Object.values(each.if?.properties ?? {})[0]?.required?.[0] ?? vendor,
  }));
  const keys = [
    ...own,
    ...[...parts, ...byVendor].flatMap(({ part, of }) =>
      part === undefined ? [] : listKeys(part, path, of),
    ),
  ];
  const documented = keys.filter(({ parent }) => parent !== 'source' && parent !== 'target');
  return [
    ...new Map(
      documented.map((key) => [`${headingOf(key)} ${key.name} ${choicesOf(key.schema)}`, key]),
    ).values(),
  ];
}

const HEADINGS: Readonly<Record<string, string>> = {
  '': 'Top',
  defaults: '`machines`',
  disks: '`from`: machines of `files`',
};

/** Where docs/wave.md has a key: under the heading of what holds it. */
function headingOf({ parent, vendor }: Key): string {
  if (Object.hasOwn(sources, parent)) return `\`source: ${parent}\``;
  if (Object.hasOwn(targets, parent)) return `\`target: ${parent}\``;
  if (parent === 'to' && vendor !== null) return `\`to\`: machines at \`${vendor}\``;
  if (parent === 'from' && vendor !== null) return `\`from\`: machines of \`${vendor}\``;
  return HEADINGS[parent] ?? `\`${parent}\``;
}

function rowsOf(key: Key): string[][] {
  return tableRows(sectionOf(wave, headingOf(key)));
}

function choicesOf({ enum: own = [], anyOf = [] }: Schema): string[] {
  return [...own, ...anyOf.flatMap(choicesOf)].filter((choice) => typeof choice === 'string');
}

type Call = { service: string; name: string };
type Policy = { Statement?: { Sid?: string; Action: string | string[]; Principal?: unknown }[] };

/** The API calls of which the AWS target imports a command or a paginator. */
async function listCalls(): Promise<Call[]> {
  const texts = await Promise.all(
    files.filter((file) => file.startsWith('adapters/targets/aws/')).map((file) => readFile(file, 'utf8')),
  );
  const calls = texts.flatMap((text) =>
    [...text.matchAll(/import \{([^}]*)\} from '@aws-sdk\/client-(\w+)'/g)].flatMap(
      ([, names = '', service = '']) =>
        [...names.matchAll(/\b(?:(\w+)Command|paginate(\w+))\b/g)].map(([, command, paged]) => ({
          service,
          name: command ?? paged ?? '',
        })),
    ),
  );
  return [...new Map(calls.map((call) => [`${call.service} ${call.name}`, call])).values()];
}

/** S3's actions have names of their own. https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html */
const S3_ACTIONS: Readonly<Record<string, string>> = {
  HeadBucket: 's3:ListBucket',
  ListObjectsV2: 's3:ListBucket',
  CreateMultipartUpload: 's3:PutObject',
  UploadPart: 's3:PutObject',
  CompleteMultipartUpload: 's3:PutObject',
  HeadObject: 's3:GetObject',
  ListParts: 's3:ListMultipartUploadParts',
  ListMultipartUploads: 's3:ListBucketMultipartUploads',
};

function actionFor({ service, name }: Call): string {
  return (service === 's3' ? S3_ACTIONS[name] : undefined) ?? `${service}:${name}`;
}

function actionsOf(policy: Policy | undefined): string[] {
  return (policy?.Statement ?? []).flatMap(({ Action }) => Action);
}
