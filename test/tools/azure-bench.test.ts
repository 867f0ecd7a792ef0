import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AnonymousCredential, PageBlobClient } from '@azure/storage-blob';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { crc64Of, loadCrc64 } from '../../adapters/targets/azure/page-crc64.ts';
import { tryTool } from '../../src/processes/child.ts';
import { startAzureCloud } from '../../tools/bench/azure-cloud.ts';
import type { BenchRow } from '../../tools/bench/bench-row.ts';

const BENCH = join(import.meta.dirname, '../../tools/bench/bench.ts');
await loadCrc64();
const PIECE = Buffer.alloc(1024, 7);

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'landfall-test-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

test('the benches of Azure run, and leave nothing behind', { timeout: 90_000 }, async () => {
  const json = join(folder, 'bench.json');
  const only = ['--only', 'azure-dense', '--only', 'azure-sparse'];
  const { exitCode, stderr } = await tryTool({
    command: process.execPath,
    args: [BENCH, '--size', '16M', '--runs', '1', ...only, '--json', json],
    environment: { TMPDIR: folder },
  });
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
  const rows = JSON.parse(await readFile(json, 'utf8')) as BenchRow[];
  expect(rows.map(({ name }) => name)).toEqual([
    'azure-dense',
    'azure-sparse',
    'azure-memory',
    'event-loop',
    'staging',
  ]);
  for (const { landfall, peer } of rows.slice(0, 3)) {
    expect(landfall).toBeGreaterThan(0);
    expect(peer).toBeGreaterThan(0);
  }
  expect(rows.at(-1)).toMatchObject({ landfall: 0, runs: 4, isReached: true });
  expect(await readdir(folder)).toEqual(['bench.json']);
});

describe('the sink for pages', () => {
  test('answers late, and lists what it was given', async () => {
    await using cloud = await startAzureCloud({ folder, signal: AbortSignal.timeout(30_000) });
    const pages = new PageBlobClient(await cloud.openDisk(2 ** 20), new AnonymousCredential());
    const startedAt = performance.now();
    await pages.uploadPages(PIECE, 4096, PIECE.length, { transactionalContentCrc64: crc64Of([PIECE]) });
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(19);
    const ranges = await Array.fromAsync(pages.listPageRanges());
    expect(ranges.map(({ start, end }) => [start, end])).toEqual([[4096, 5119]]);
  });

  test.each<[string, number, object]>([
    ['damaged pages', 0, { transactionalContentCrc64: crc64Of([Buffer.alloc(1024)]) }],
    ['pages with another MD5', 0, { transactionalContentMD5: new Uint8Array(16) }],
    ['pages past the end', 2 ** 20, {}],
  ])('refuses %s', async (_, offset, options) => {
    await using cloud = await startAzureCloud({ folder, signal: AbortSignal.timeout(30_000) });
    const pages = new PageBlobClient(await cloud.openDisk(2 ** 20), new AnonymousCredential());
    await expect(pages.uploadPages(PIECE, offset, PIECE.length, options)).rejects.toMatchObject({
      statusCode: expect.toSatisfy((status: number) => status === 400 || status === 416),
    });
    expect(await Array.fromAsync(pages.listPageRanges())).toEqual([]);
  });
});
