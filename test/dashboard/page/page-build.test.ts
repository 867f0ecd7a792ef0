import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'vite';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { MAX_PAGE_BYTES, weighPage } from '../../../tools/weigh-page.ts';

let folder = '';

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'landfall-page-'));
  await build({ configFile: 'vite.config.ts', logLevel: 'error', build: { outDir: folder } });
});

afterAll(() => rm(folder, { recursive: true, force: true }));

test('the page weighs no more than a slow phone takes', async () => {
  const { files, gzipBytes } = await weighPage(folder);
  expect(files.map(({ name }) => name)).toContain('index.html');
  expect(gzipBytes).toBeLessThanOrEqual(MAX_PAGE_BYTES);
});

test('the page holds nothing that a policy of "self" alone would refuse', async () => {
  const html = await readFile(join(folder, 'index.html'), 'utf8');
  expect(html).not.toMatch(/<style|style=|<script(?![^>]* src="\/)|\son\w+=/i);
  const names = await readdir(join(folder, 'assets'));
  const styles = await Promise.all(
    names
      .filter((name) => name.endsWith('.css'))
      .map((name) => readFile(join(folder, 'assets', name), 'utf8')),
  );
  expect(styles.join('')).not.toMatch(/url\((?!['"]?\/)|@import/);
});

test('no part of the page makes markup from text', async () => {
  const names = await readdir('src/dashboard/page', { recursive: true });
  const sources = await Promise.all(
    names
      .filter((name) => /\.tsx?$/.test(name))
      .map((name) => readFile(join('src/dashboard/page', name), 'utf8')),
  );
  // main.tsx says that nothing uses it.
  const uses = sources.filter((text) => /dangerouslySetInnerHTML=|\.innerHTML|insertAdjacentHTML/.test(text));
  expect(uses).toEqual([]);
});
