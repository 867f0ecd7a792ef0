import { glob, readFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import {
  findCycles,
  type Import,
  judgeFileShape,
  judgeImport,
  listImports,
  type SourceFile,
} from './architecture/rules.ts';

const files = await readFiles([
  'src/**/*.{ts,tsx}',
  'adapters/**/*.ts',
  'tools/**/*.{ts,mjs}',
  'test/**/*.ts',
  'bin/*.mjs',
]);
const imports = files.flatMap(listImports);

describe('the project', () => {
  test('is read whole', () => {
    expect(files.length).toBeGreaterThan(50);
    expect(imports.length).toBeGreaterThan(files.length);
  });

  test('imports only what each room may import', () => {
    expect(imports.map(judgeImport).filter((complaint) => complaint !== null)).toEqual([]);
  });

  test('ships the packages that its shipped files import', async () => {
    // The dashboard's page ships built, with what it needs inside.
    const { dependencies } = JSON.parse(await readFile('package.json', 'utf8')) as { dependencies: object };
    const packages = imports
      .filter(
        ({ from, to }) =>
          /^(src|adapters|bin)\//.test(from) &&
          !from.startsWith('src/dashboard/page/') &&
          !/^(src|adapters|node:)/.test(to),
      )
      .map(({ to }) => to.split('/', to.startsWith('@') ? 2 : 1).join('/'));
    expect(Object.keys(dependencies)).toEqual(expect.arrayContaining([...new Set(packages)]));
  });

  test('has no cycle among its files', () => {
    expect(findCycles(imports).map((cycle) => cycle.join(' → '))).toEqual([]);
  });

  test('has no file that is named for nothing, or long without a reason', () => {
    expect(files.map(judgeFileShape).filter((complaint) => complaint !== null)).toEqual([]);
  });
});

describe('an import is found', () => {
  test.each<[string, string, boolean]>([
    ["import { a } from './a.ts';", 'src/blocks/a.ts', false],
    ["import type { A } from '../domain/a.ts';", 'src/domain/a.ts', true],
    ["import {\n  a,\n  type B as C,\n} from '../domain/a.ts';", 'src/domain/a.ts', false],
    ["import * as a from '../a.ts';", 'src/a.ts', false],
    ["import a, { b } from 'pkg';", 'pkg', false],
    ["import './a.ts';", 'src/blocks/a.ts', false],
    ["export { a } from './a.ts';", 'src/blocks/a.ts', false],
    ["export type { A } from './a.ts';", 'src/blocks/a.ts', true],
    ["export * from './a.ts';", 'src/blocks/a.ts', false],
    ["const a = await import('../../adapters/registry.ts');", 'adapters/registry.ts', false],
  ])('in %j', (text, to, isTypeOnly) => {
    expect(listImports({ path: 'src/blocks/x.ts', text })).toEqual([
      { from: 'src/blocks/x.ts', to, isTypeOnly },
    ]);
  });

  test.each([
    "// import { a } from './a.ts';",
    "/*\n import './a.ts';\n*/",
    "export const from = 'a';",
    "const a = 'import b from c';",
  ])('not in %j', (text) => expect(listImports({ path: 'src/blocks/x.ts', text })).toEqual([]));
});

describe('an import is refused', () => {
  test.each<[string, string]>([
    ['src/domain/a.ts', 'src/state/redis.ts'],
    ['src/domain/a.ts', 'src/processes/child.ts'],
    ['src/domain/a.ts', 'node:fs'],
    ['src/stages/upload.ts', 'adapters/targets/aws/adapter.ts'],
    ['src/stages/upload.ts', 'bullmq'],
    ['src/workflow/load-wave.ts', 'adapters/registry.ts'],
    ['src/queue/pool.ts', 'src/stages/upload.ts'],
    ['src/state/redis.ts', 'bullmq'],
    ['src/images/vmdk.ts', 'src/boot/boot.ts'],
    ['src/sandbox/ec2/import.ts', 'src/images/vmdk-encoder.ts'],
    ['src/evidence/s3.ts', '@aws-sdk/client-ec2'],
    ['src/stages/upload.ts', '@aws-sdk/client-s3'],
    ['src/images/qemu.ts', 'node:child_process'],
    ['src/images/qemu.ts', 'src/app.ts'],
    ['adapters/targets/azure/upload.ts', '@aws-sdk/client-s3'],
    ['adapters/targets/azure/upload.ts', 'adapters/targets/aws/object.ts'],
    ['adapters/targets/aws/object.ts', 'src/state/ledger.ts'],
    ['src/dashboard/page/app.tsx', 'src/domain/job.ts'],
    ['src/dashboard/page/app.tsx', 'src/dashboard/api/run.ts'],
    ['src/dashboard/server.ts', 'react'],
    ['src/annex/a.ts', 'src/domain/a.ts'],
  ])('of %s, of %s', (from, to) => {
    expect(judgeImport({ from, to })).toContain(from);
  });
});

describe('an import is allowed', () => {
  test.each<[string, string]>([
    ['src/domain/a.ts', 'src/domain/b.ts'],
    ['src/domain/a.ts', 'zod'],
    ['src/state/redis.ts', 'ioredis'],
    ['src/images/qemu.ts', 'src/processes/child.ts'],
    ['src/app.ts', 'adapters/registry.ts'],
    ['src/sandbox/ec2/import.ts', 'src/images/header-guard.ts'],
    ['adapters/registry.ts', 'adapters/targets/aws/adapter.ts'],
    ['adapters/targets/aws/object.ts', '@aws-sdk/client-s3'],
    ['tools/demo.ts', 'src/queue/pool.ts'],
    ['test/state/ledger.test.ts', 'bullmq'],
  ])('of %s, of %s', (from, to) => {
    expect(judgeImport({ from, to })).toBeNull();
  });
});

describe('a cycle is found', () => {
  test('with the files along it', () => {
    expect(findCycles(chain('a b c a', 'x b'))).toEqual([['a', 'b', 'c', 'a']]);
  });

  test('of a file with itself', () => {
    expect(findCycles(chain('a a'))).toEqual([['a', 'a']]);
  });

  test('but not where only types are imported', () => {
    const imports = chain('a b a');
    expect(findCycles(imports.map((each) => ({ ...each, isTypeOnly: each.from === 'a' })))).toEqual([]);
  });

  test('and two ways to one file are none', () => {
    expect(findCycles(chain('a b d', 'a c d'))).toEqual([]);
  });
});

describe('a file is refused', () => {
  test.each([
    'src/utils.ts',
    'src/blocks/helpers.ts',
    'src/lib/a.ts',
    'test/common/a.ts',
    'src/domain/types.ts',
  ])('for the name %s', (path) => expect(judgeFileShape({ path, text: '' })).toContain(path));

  test('for its length, unless it says why at its top', () => {
    const body = 'x\n'.repeat(351);
    expect(judgeFileShape({ path: 'src/a.ts', text: body })).toContain('351 lines');
    expect(judgeFileShape({ path: 'src/a.ts', text: `/** One table. */\n${body}` })).toContain('352 lines');
    const reason = '/**\n * One table.\n * Longer than 350 lines because the table is one thing.\n */\n';
    expect(judgeFileShape({ path: 'src/a.ts', text: `${reason}${body}` })).toBeNull();
  });
});

function chain(...trails: string[]): Import[] {
  return trails.flatMap((trail) => {
    const names = trail.split(' ');
    return names.slice(1).map((to, index) => ({ from: names[index] ?? '', to }));
  });
}

async function readFiles(patterns: string[]): Promise<SourceFile[]> {
  const found: SourceFile[] = [];
  for await (const path of glob(patterns)) found.push({ path, text: await readFile(path, 'utf8') });
  return found;
}
