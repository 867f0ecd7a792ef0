/** A server that others wrote, on a port of its own of the loopback interface, for as long as its owner wants it. */
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { LandfallError } from '../../src/domain/errors.ts';
import { type RunningTool, startTool, type ToolResult } from '../../src/processes/child.ts';

/** Disposing ends the server; it dies with us, too. */
export type RunningPeer = AsyncDisposable & { url: string };

export type PeerCommand = {
  name: string;
  command: string;
  argsFor: (port: number) => readonly string[];
  environment: Readonly<Record<string, string>>;
  /** Answers 200 once the server works. */
  readyPath: string;
  signal: AbortSignal;
};

/** Between choosing a port and the server's listening, another process may take it. */
const PORTS_TRIED = 3;
/** Python reads a few hundred modules first: 2 s on an idle core. */
const READY_TIMEOUT_MS = 30_000;
const LOOK_EVERY_MS = 50;

export async function startPeer(peer: PeerCommand): Promise<RunningPeer> {
  for (let tried = 1; ; tried += 1) {
    const port = await freePort();
    const { name, command, environment, signal } = peer;
    const tool = await startTool({ command, args: peer.argsFor(port), environment, signal });
    const url = `http://127.0.0.1:${port}`;
    const failure = await untilReady(tool, { url: `${url}${peer.readyPath}`, signal });
    if (failure === null) return { url, [Symbol.asyncDispose]: async () => void (await tool.stop()) };
    const { stdout, stderr } = await tool.stop();
    signal.throwIfAborted();
    const said = `${stderr}\n${stdout}`.trim();
    if (tried < PORTS_TRIED && /address already in use/i.test(said)) continue;
    throw new LandfallError({
      code: 'tool-failed',
      message: `The peer ${name} did not start: ${failure}. It said: ${said.slice(-1_000) || 'nothing'}`,
      context: { command },
    });
  }
}

/** null when it answers; else why it does not. */
async function untilReady(
  { exited }: RunningTool,
  { url, signal }: { url: string; signal: AbortSignal },
): Promise<string | null> {
  let ended: ToolResult | null = null;
  void exited.then((result) => {
    ended = result;
  });
  const deadline = performance.now() + READY_TIMEOUT_MS;
  while (performance.now() < deadline && !signal.aborted) {
    if (ended !== null) return 'it ended at once';
    if (await answers(url)) return null;
    await Promise.race([exited, delay(LOOK_EVERY_MS)]);
  }
  return `it did not answer within ${READY_TIMEOUT_MS / 1_000} s`;
}

async function answers(url: string): Promise<boolean> {
  try {
    const { ok } = await fetch(url, { signal: AbortSignal.timeout(1_000) });
    return ok;
  } catch {
    return false;
  }
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as AddressInfo;
  probe.close();
  await once(probe, 'close');
  return port;
}
