/**
 * The sandbox cloud in a process of its own, as `landfall sandbox` starts it, and what reaches it. Where blocks are to be
 * dropped, another process takes them: the sandbox keeps what it gets, and works harder than what it is to measure.
 */
import { join } from 'node:path';
import { startTool } from '../../src/processes/child.ts';
import { DEMO_BUCKET } from '../../src/sandbox/seed.ts';

export type Cloud = AsyncDisposable & {
  url: string;
  bucket: string;
  environment: Readonly<Record<string, string>>;
};

const LANDFALL = join(import.meta.dirname, '..', '..', 'bin', 'landfall.mjs');
const EBS_SINK = join(import.meta.dirname, 'ebs-sink.ts');

export async function startCloud(options: {
  /** Of its state; removed by whoever made it. */
  folder: string;
  /** EBS direct is ebs-sink.ts: it checks blocks and throws them away. EC2 knows nothing of its snapshots. */
  dropsBlocks?: boolean;
  signal: AbortSignal;
}): Promise<Cloud> {
  const { folder, dropsBlocks = false, signal } = options;
  await using stack = new AsyncDisposableStack();
  const sandbox = stack.use(
    await startServer<{ url: string; environment: Record<string, string> }>({
      args: [LANDFALL, 'sandbox', '--port', '0', '--folder', folder, '--json'],
      environment: { LANDFALL_HOME: folder, LANDFALL_LOG: 'error' },
      signal,
    }),
  );
  const { url, environment } = sandbox.said;
  const sink = dropsBlocks
    ? stack.use(await startServer<{ url: string }>({ args: [EBS_SINK], environment: {}, signal }))
    : null;
  const owned = stack.move();
  return {
    url,
    environment: sink === null ? environment : { ...environment, AWS_ENDPOINT_URL_EBS: sink.said.url },
    bucket: DEMO_BUCKET,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Resolves when it says, as a JSON line, where it listens. */
async function startServer<Said extends { url: string }>(start: {
  args: readonly string[];
  environment: Readonly<Record<string, string>>;
  signal: AbortSignal;
}): Promise<AsyncDisposable & { said: Said }> {
  const said = Promise.withResolvers<Said>();
  const server = await startTool({
    command: process.execPath,
    ...start,
    onLine: (line) => {
      if (line.startsWith('{"url"')) said.resolve(JSON.parse(line));
    },
  });
  void server.exited.then(({ stderr }) => said.reject(new Error(`A server of the bench ended: ${stderr}`)));
  return { said: await said.promise, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
}
