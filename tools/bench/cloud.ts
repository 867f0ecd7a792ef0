/** The sandbox cloud in a process of its own, as `landfall sandbox` starts it, and what reaches it. */
import { join } from 'node:path';
import { startTool } from '../../src/processes/child.ts';
import { DEMO_BUCKET } from '../../src/sandbox/seed.ts';

export type Cloud = AsyncDisposable & {
  url: string;
  bucket: string;
  environment: Readonly<Record<string, string>>;
};

const LANDFALL = join(import.meta.dirname, '..', '..', 'bin', 'landfall.mjs');

export async function startCloud(options: {
  /** Of its state; removed by whoever made it. */
  folder: string;
  /** EBS direct checks blocks and throws them away, so that no disk is measured with it. */
  dropsBlocks?: boolean;
  signal: AbortSignal;
}): Promise<Cloud> {
  const { folder, dropsBlocks = false, signal } = options;
  const noted = Promise.withResolvers<{ url: string; environment: Record<string, string> }>();
  const drop = dropsBlocks ? ['--ebs-drop'] : [];
  const sandbox = await startTool({
    command: process.execPath,
    args: [LANDFALL, 'sandbox', '--port', '0', '--folder', folder, '--json', ...drop],
    environment: { LANDFALL_HOME: folder, LANDFALL_LOG: 'error' },
    signal,
    onLine: (line) => {
      if (line.startsWith('{"url"')) noted.resolve(JSON.parse(line));
    },
  });
  void sandbox.exited.then(({ stderr }) => noted.reject(new Error(`The sandbox ended: ${stderr}`)));
  const { url, environment } = await noted.promise;
  return {
    url,
    environment,
    bucket: DEMO_BUCKET,
    [Symbol.asyncDispose]: () => sandbox[Symbol.asyncDispose](),
  };
}
