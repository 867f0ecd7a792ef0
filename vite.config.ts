/** The dashboard's page: `npm run build:page` writes it to dist/page, which the server serves. */
import { resolve } from 'node:path';
import react from '@vitejs/plugin-react';
import { defineConfig, type Plugin } from 'vite';
import { MAX_PAGE_BYTES, weighPage } from './tools/weigh-page.ts';

export default defineConfig({
  root: 'src/dashboard/page',
  plugins: [react(), tellWeight()],
  build: {
    outDir: '../../../dist/page',
    emptyOutDir: true,
    target: ['chrome123', 'firefox128', 'safari17.5'],
    // The page's content security policy allows what this server serves, and nothing that stands in the page itself.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  // `npx vite` serves the page from its sources, with the API of a dashboard that runs.
  server: { proxy: { '/api': 'http://127.0.0.1:8470', '/queues': 'http://127.0.0.1:8470' } },
});

function tellWeight(): Plugin {
  let folder = '';
  let say = (_line: string): void => {};
  return {
    name: 'landfall:tell-weight',
    apply: 'build',
    configResolved: ({ build, root, logger }) => {
      folder = resolve(root, build.outDir);
      say = (line) => logger.info(line);
    },
    closeBundle: async () => {
      const { files, gzipBytes } = await weighPage(folder);
      const kb = (bytes: number): string => `${(bytes / 1000).toFixed(1)} kB`;
      for (const file of files) say(`${kb(file.gzipBytes).padStart(10)}  ${file.name}`);
      say(`The page weighs ${kb(gzipBytes)} gzipped in all; it may weigh ${kb(MAX_PAGE_BYTES)}.`);
    },
  };
}
