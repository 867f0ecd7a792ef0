/** The page: files that Vite built. Every address of the page is answered by one document, which reads the address. */
import { existsSync } from 'node:fs';
import { access } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import fastifyStatic from '@fastify/static';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { sendProblem } from './problem.ts';

const PUBLIC = { config: { access: 'public' }, schema: { hide: true } } as const;
/** Icons and the like. */
const FILE_AT_THE_TOP = /^\/[\w-]+(\.[\w-]+)*\.(ico|svg|png|webmanifest|txt)$/;
const DOCUMENT = 'index.html';

export async function servePage(
  server: FastifyInstance,
  folder: string = join(findPackage(import.meta.dirname), 'dist/page'),
): Promise<void> {
  await server.register(fastifyStatic, { root: folder, serve: false, cacheControl: false });

  // Names of these are made from what they hold.
  server.get('/assets/*', PUBLIC, (request, reply) => {
    const { '*': name } = request.params as { '*': string };
    return reply
      .header('cache-control', 'public, max-age=31536000, immutable')
      .sendFile(name, join(folder, 'assets'));
  });
  const sendDocument = async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
    if (!isForPeople(request)) return sendNotFound(request, reply);
    if (!(await exists(join(folder, DOCUMENT)))) return sendUnbuilt(reply);
    return reply.header('cache-control', 'no-cache').sendFile(DOCUMENT);
  };
  // The login page has it too.
  server.get('/icon.svg', PUBLIC, (_request, reply) => reply.sendFile('icon.svg'));
  server.get('/login', PUBLIC, sendDocument);
  server.get('/*', { schema: { hide: true } }, (request, reply) => {
    const [path = ''] = request.url.split('?');
    if (FILE_AT_THE_TOP.test(path)) return reply.sendFile(path.slice(1));
    return path.startsWith('/api/') ? sendNotFound(request, reply) : sendDocument(request, reply);
  });
  server.setNotFoundHandler(sendNotFound);
}

async function sendNotFound({ method, url }: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  const message = `There is nothing at ${method} ${url.slice(0, 200)}. /api/openapi.json says what there is.`;
  return sendProblem(reply, { status: 404, code: 'not-found', message });
}

/** Did somebody follow a link or type an address? */
function isForPeople({ headers }: FastifyRequest): boolean {
  return (headers.accept ?? '').includes('text/html');
}

function sendUnbuilt(reply: FastifyReply): FastifyReply {
  return reply.code(503).type('text/html; charset=utf-8').send(UNBUILT);
}

const UNBUILT = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Landfall</title>
<h1>The page is not built yet</h1>
<p>The server runs and its API answers (<a href="/api/openapi.json">/api/openapi.json</a>). To build the page, in the
folder of Landfall:</p>
<pre>npm run setup</pre>
<p>Then load this address again.</p>
</html>
`;

async function exists(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  );
}

/** Of a clone, or of the published package, whose code is in `dist/src`. */
function findPackage(folder: string): string {
  for (let at = folder; ; at = dirname(at)) {
    if (existsSync(join(at, 'package.json'))) return at;
    if (dirname(at) === at) throw new Error(`no package.json above ${folder}`);
  }
}
