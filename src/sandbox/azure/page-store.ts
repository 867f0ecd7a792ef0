/** The page blobs behind managed disks, in Azurite: one per disk, named by the disk's unique id. */
import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { Agent, type IncomingHttpHeaders, type IncomingMessage, request } from 'node:http';
import { LandfallError } from '../../domain/errors.ts';
import type { SandboxLog } from '../front.ts';
import { startAzurite } from './azurite.ts';

export type PageStore = AsyncDisposable & {
  /** Aborted when Azurite ended by itself: nothing can be read or written any more. */
  gone: AbortSignal;
  create(name: string, lengthBytes: number): Promise<void>;
  /** Also where there is none. */
  remove(name: string): Promise<void>;
  /** Of all blobs there are. */
  names(): Promise<string[]>;
  /** Those that hold pages, in order. */
  extents(name: string): Promise<PageExtent[]>;
  read(name: string, extent: PageExtent, signal?: AbortSignal): Promise<Buffer>;
  /** Passes a client's request on. Throws `target-unavailable` where Azurite is gone. */
  forward(name: string, forwarded: Forwarded): Promise<StoreAnswer>;
};

export type PageExtent = { offsetBytes: number; lengthBytes: number };

export type Forwarded = {
  method: string;
  query: Readonly<Record<string, string>>;
  headers: Readonly<Record<string, string>>;
  body?: Buffer;
  signal?: AbortSignal;
};

export type StoreAnswer = { status: number; headers: IncomingHttpHeaders; body: IncomingMessage };

export type PageStoreOptions = { folder: string; storageKey: string; log: SandboxLog };

const STORAGE_ACCOUNT = 'landfalldisks';
const CONTAINER = 'disks';
/** The last version whose account signature has no encryption scope. */
const VERSION = '2019-12-12';
const MAX_CONNECTIONS = 64;

export async function openPageStore({ folder, storageKey, log }: PageStoreOptions): Promise<PageStore> {
  await using owned = new AsyncDisposableStack();
  const azurite = owned.use(await startAzurite({ folder, storageAccount: STORAGE_ACCOUNT, storageKey, log }));
  const agent = new Agent({ keepAlive: true, maxSockets: MAX_CONNECTIONS });
  owned.defer(() => agent.destroy());
  const signature = signAccount(storageKey);

  const send = async (
    path: string,
    { method, query, headers, body, signal }: Forwarded,
  ): Promise<StoreAnswer> => {
    const outgoing = request({
      agent,
      host: '127.0.0.1',
      port: azurite.port,
      method,
      path: `/${STORAGE_ACCOUNT}/${path}?${new URLSearchParams({ ...query, ...signature })}`,
      headers: { 'x-ms-version': VERSION, ...headers, 'content-length': body?.length ?? 0 },
      ...(signal === undefined ? {} : { signal }),
    });
    try {
      outgoing.end(body);
      const [answer] = (await once(outgoing, 'response')) as [IncomingMessage];
      return { status: answer.statusCode ?? 500, headers: answer.headers, body: answer };
    } catch (error) {
      signal?.throwIfAborted();
      throw new LandfallError({
        code: 'target-unavailable',
        message: `Azurite did not answer ${method} ${path}: ${String(error)}. ${azurite.gone.aborted ? 'It has ended: start the sandbox again.' : 'Try again.'}`,
        cause: error,
        retryable: true,
      });
    }
  };
  const expect = async (path: string, statuses: readonly number[], forwarded: Forwarded): Promise<Buffer> => {
    const answer = await send(path, forwarded);
    const body = await readAll(answer.body);
    if (statuses.includes(answer.status)) return body;
    throw new LandfallError({
      code: 'internal',
      message: `Azurite answered ${answer.status} to ${forwarded.method} ${path}: ${body.toString().slice(0, 300)}`,
    });
  };
  const blob = (name: string): string => `${CONTAINER}/${name}`;
  await expect(CONTAINER, [201, 409], { method: 'PUT', query: { restype: 'container' }, headers: {} });

  const resources = owned.move();
  return {
    gone: azurite.gone,
    async create(name, lengthBytes) {
      const headers = { 'x-ms-blob-type': 'PageBlob', 'x-ms-blob-content-length': String(lengthBytes) };
      await expect(blob(name), [201], { method: 'PUT', query: {}, headers });
    },
    remove: async (name) =>
      void (await expect(blob(name), [202, 404], { method: 'DELETE', query: {}, headers: {} })),
    async names() {
      const query = { restype: 'container', comp: 'list' };
      const text = await expect(CONTAINER, [200], { method: 'GET', query, headers: {} });
      return [...text.toString().matchAll(/<Name>([^<]+)<\/Name>/g)].map(([, name = '']) => name);
    },
    async extents(name) {
      const text = await expect(blob(name), [200], {
        method: 'GET',
        query: { comp: 'pagelist' },
        headers: {},
      });
      const pairs = text.toString().matchAll(/<PageRange>\s*<Start>(\d+)<\/Start>\s*<End>(\d+)<\/End>/g);
      return [...pairs].map(([, start, end]) => ({
        offsetBytes: Number(start),
        lengthBytes: Number(end) - Number(start) + 1,
      }));
    },
    async read(name, { offsetBytes, lengthBytes }, signal) {
      const headers = { 'x-ms-range': `bytes=${offsetBytes}-${offsetBytes + lengthBytes - 1}` };
      return await expect(blob(name), [206], {
        method: 'GET',
        query: {},
        headers,
        ...(signal && { signal }),
      });
    },
    forward: (name, forwarded) => send(blob(name), forwarded),
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

async function readAll(body: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of body) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/** https://learn.microsoft.com/rest/api/storageservices/create-account-sas */
function signAccount(storageKey: string): Record<string, string> {
  const fields = {
    sp: 'rwdlac',
    ss: 'b',
    srt: 'sco',
    st: '',
    se: '2099-01-01T00:00:00Z',
    sip: '',
    spr: '',
    sv: VERSION,
  };
  const text = `${[STORAGE_ACCOUNT, ...Object.values(fields)].join('\n')}\n`;
  const sig = createHmac('sha256', Buffer.from(storageKey, 'base64')).update(text).digest('base64');
  const { sp, ss, srt, se, sv } = fields;
  return { sp, ss, srt, se, sv, sig };
}
