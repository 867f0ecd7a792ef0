/**
 * Serves the built page with made-up runs, for a look at it: `node test/dashboard/page/fixture-server.ts [PORT] [MACHINES]`.
 * Every second some machines change, as in a live run.
 */
import { createReadStream, existsSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { extname, join } from 'node:path';
import type { MachineLine } from '../../../src/dashboard/api/run.ts';
import { answerMore } from './fixture-answers.ts';
import { makeDetail, makeMachines, makeRuns, NOW } from './fixture-run.ts';

const PAGE = 'dist/page';
const KINDS: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
};
const [port = '8471', amount = '41'] = process.argv.slice(2);

const startedAt = Date.now();
const runs = makeRuns();
let machines = makeMachines(Number(amount));

createServer((request, response) => {
  response.setHeader(
    'content-security-policy',
    "default-src 'self'; frame-ancestors 'none'; base-uri 'none'",
  );
  const url = new URL(request.url ?? '/', 'http://localhost');
  if (url.pathname === '/api/live') live(url, request, response);
  else if (url.pathname.startsWith('/api/'))
    void readBody(request).then((body) => answer(url, body, response));
  else page(url.pathname, response);
}).listen(Number(port), '127.0.0.1');

setInterval(() => {
  machines = machines.map((line, index) => ((index + tick()) % 5 === 0 ? advance(line) : line));
}, 1000).unref();

function now(): number {
  return NOW + (Date.now() - startedAt);
}

function tick(): number {
  return Math.floor((Date.now() - startedAt) / 1000);
}

function advance(line: MachineLine): MachineLine {
  if (line.status !== 'moving' || line.doneBytes >= line.totalBytes) return line;
  return { ...line, doneBytes: Math.min(line.totalBytes, line.doneBytes + line.bytesPerSecond * 5) };
}

function answer(url: URL, body: unknown, response: ServerResponse): void {
  const [, , room, id, what] = url.pathname.split('/');
  const run = runs.find((each) => each.id === decodeURIComponent(id ?? ''));
  if (room === 'runs' && id === undefined) {
    send(response, 200, { now: now(), runs });
  } else if (room === 'runs' && run !== undefined && what === undefined) {
    send(response, 200, { ...makeDetail(run, machines), now: now() });
  } else if (room === 'runs' && what === 'throughput') {
    send(response, 200, throughput());
  } else {
    const more = answerMore({ url, body, runs, machines, now: now(), tick: tick() });
    const missing = { code: 'not-found', message: `There is no ${url.pathname}. See all runs at /.` };
    if (more?.png !== undefined) response.writeHead(200, { 'content-type': 'image/png' }).end(more.png);
    else send(response, more?.status ?? 404, more?.body ?? { error: missing });
  }
}

async function readBody(request: IncomingMessage): Promise<unknown> {
  let text = '';
  for await (const chunk of request) text += String(chunk);
  return text === '' ? null : JSON.parse(text);
}

function throughput(): object {
  const samples = Array.from({ length: 720 }, (_, index) => {
    const at = now() - (720 - index) * 10_000;
    const limitBytesPerSecond = index > 300 ? 1024 ** 3 : 0.6 * 1024 ** 3;
    const wave = 0.82 + 0.12 * Math.sin(index / 20) + 0.05 * Math.sin(index / 3);
    return { at, bytesPerSecond: limitBytesPerSecond * wave, limitBytesPerSecond };
  });
  return { everyMs: 10_000, samples };
}

function live(url: URL, request: IncomingMessage, response: ServerResponse): void {
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
  const say = (name: string, data: unknown): void => {
    response.write(`event: ${name}\ndata: ${JSON.stringify(data)}\n\n`);
  };
  const run = runs.find(({ id }) => id === url.searchParams.get('run'));
  say('health', { redis: 'ok', message: null });
  let sent = new Map<string, MachineLine>();
  const update = (): void => {
    if (run === undefined) {
      say('runs', { now: now(), runs });
      return;
    }
    say('run', { now: now(), run });
    const changed = machines.filter((line) => sent.get(line.name) !== line);
    sent = new Map(machines.map((line) => [line.name, line]));
    say('machines', { now: now(), machines: changed });
  };
  update();
  const timer = setInterval(update, 1000);
  request.on('close', () => clearInterval(timer));
}

function send(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
}

function page(path: string, response: ServerResponse): void {
  const file = join(PAGE, path);
  const found = extname(path) !== '' && existsSync(file) ? file : join(PAGE, 'index.html');
  response.writeHead(200, { 'content-type': KINDS[extname(found)] ?? 'application/octet-stream' });
  createReadStream(found).pipe(response);
}
