/** The client against the servers it will meet: qemu-nbd, nbdkit and Debian's nbd-server. */
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, rmSync } from 'node:fs';
import { open, readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { type NbdClient, type NbdClientOptions, openNbd } from '../../src/blocks/nbd-client.ts';
import type { StatusRun } from '../../src/blocks/nbd-status-reply.ts';
import { runTool, startTool } from '../../src/processes/child.ts';
import { type NbdFolder, openNbdFolder } from './nbd-servers.ts';

const MIB = 2 ** 20;
const DISK_BYTES = 24 * MIB;
const ALLOCATION = 'base:allocation';
const signal = AbortSignal.timeout(120_000);

let folder: NbdFolder;
let raw: string;

beforeAll(async () => {
  folder = await openNbdFolder();
  raw = folder.join('disk.raw');
  await writeDisk(raw);
});

afterAll(() => folder[Symbol.asyncDispose]());

/** Noise at the start, over the middle and in the last sector; holes between. */
async function writeDisk(path: string): Promise<void> {
  await using file = await open(path, 'w');
  await file.truncate(DISK_BYTES);
  await file.write(randomBytes(3 * MIB), 0, 3 * MIB, 0);
  await file.write(randomBytes(5 * MIB), 0, 5 * MIB, 10 * MIB + 65_536);
  await file.write(randomBytes(512), 0, 512, DISK_BYTES - 512);
}

function openClient(uri: string, options: Partial<NbdClientOptions> = {}): Promise<NbdClient> {
  return openNbd({ uri, contexts: [ALLOCATION], signal, ...options });
}

async function readAll(client: NbdClient, stepBytes = 3 * MIB + 512): Promise<Buffer> {
  const into = Buffer.allocUnsafe(client.bytes);
  const reads: Promise<void>[] = [];
  for (let offsetBytes = 0; offsetBytes < into.length; offsetBytes += stepBytes) {
    reads.push(
      client.read({ offsetBytes, into: into.subarray(offsetBytes, offsetBytes + stepBytes) }, signal),
    );
  }
  await Promise.all(reads);
  return into;
}

function digest(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

type Mapped = { offset: number; length: number; type: number };

/** As nbdinfo says it: neighbours that are alike are one. */
async function mapAll(client: NbdClient, context: string): Promise<Mapped[]> {
  const mapped: Mapped[] = [];
  for (let offsetBytes = 0; offsetBytes < client.bytes; ) {
    const lengthBytes = client.bytes - offsetBytes;
    for (const run of await client.blockStatus({ context, offsetBytes, lengthBytes }, signal)) {
      addRun(mapped, offsetBytes, run);
      offsetBytes += run.lengthBytes;
    }
  }
  return mapped;
}

function addRun(mapped: Mapped[], offset: number, { lengthBytes, flags }: StatusRun): void {
  const last = mapped.at(-1);
  if (last?.type === flags) last.length += lengthBytes;
  else mapped.push({ offset, length: lengthBytes, type: flags });
}

async function nbdinfoMap(uri: string, context: string): Promise<Mapped[]> {
  const { stdout } = await runTool({ command: 'nbdinfo', args: ['--json', `--map=${context}`, uri] });
  const runs: Mapped[] = JSON.parse(stdout);
  const mapped: Mapped[] = [];
  for (const { offset, length, type } of runs) addRun(mapped, offset, { lengthBytes: length, flags: type });
  return mapped;
}

async function convert(driver: string, options: readonly string[] = []): Promise<string> {
  const path = folder.join(`disk.${driver}`);
  await runTool({
    command: 'qemu-img',
    args: ['convert', '-f', 'raw', '-O', driver, ...options, raw, path],
  });
  return path;
}

describe('qemu-nbd', () => {
  it.each(['raw', 'qcow2', 'vmdk', 'vhdx'])('serves %s: the same bytes, the same map', async (driver) => {
    const path = driver === 'raw' ? raw : await convert(driver);
    const uri = await folder.serveByQemu(['-f', driver, path]);
    await using client = await openClient(uri);
    expect(client).toMatchObject({
      bytes: DISK_BYTES,
      canMultiConn: true,
      connections: 2,
      contexts: [ALLOCATION],
    });
    expect(digest(await readAll(client))).toBe(digest(await readFile(raw)));
    const map = await mapAll(client, ALLOCATION);
    expect(map).toEqual(await nbdinfoMap(uri, ALLOCATION));
    // qemu says nothing of holes in a VHDX: whoever reads one has to look for zeros itself.
    expect(new Set(map.map(({ type }) => type))).toEqual(new Set(driver === 'vhdx' ? [0] : [0, 3]));
  });

  it('serves a dirty bitmap and the allocation beside it', async () => {
    const path = folder.join('tracked.qcow2');
    await runTool({ command: 'qemu-img', args: ['create', '-q', '-f', 'qcow2', path, `${DISK_BYTES}`] });
    await runTool({ command: 'qemu-img', args: ['bitmap', '-f', 'qcow2', '--add', path, 'cp1'] });
    for (const write of ['write -P 1 1M 128k', 'write -P 2 20M 64k']) {
      await runTool({ command: 'qemu-io', args: ['-f', 'qcow2', '-c', write, path] });
    }
    const bitmap = 'qemu:dirty-bitmap:cp1';
    const uri = await folder.serveByQemu(['-f', 'qcow2', '-B', 'cp1', path]);
    const absent = 'qemu:dirty-bitmap:other';
    await using client = await openClient(uri, { contexts: [bitmap, ALLOCATION, absent] });
    expect([...client.contexts].sort()).toEqual([ALLOCATION, bitmap]);
    const dirty = (await mapAll(client, bitmap)).filter(({ type }) => type === 1);
    expect(dirty).toEqual([
      { offset: MIB, length: 128 * 1024, type: 1 },
      { offset: 20 * MIB, length: 64 * 1024, type: 1 },
    ]);
    expect(await mapAll(client, bitmap)).toEqual(await nbdinfoMap(uri, bitmap));
    const request = { context: absent, offsetBytes: 0, lengthBytes: 512 };
    await expect(client.blockStatus(request, signal)).rejects.toThrow('gives no block status for');
  });

  it('has no export of another name', async () => {
    const uri = await folder.serveByQemu(['-f', 'raw', '-x', 'sda', raw]);
    await using client = await openClient(uri.replace('///?', '///sda?'));
    expect(client.bytes).toBe(DISK_BYTES);
    await expect(openClient(uri.replace('///?', '///sdb?'))).rejects.toMatchObject({
      code: 'image-missing',
      message: expect.stringContaining('has no export "sdb"'),
    });
  });

  it('is read over one connection where it takes no second client', async () => {
    const uri = await folder.serve({
      command: 'qemu-nbd',
      args: (socket) => ['-r', '-t', '-e', '1', '-k', socket, '-f', 'raw', raw],
    });
    await using client = await openClient(uri, { connections: 4 });
    expect(client.connections).toBe(1);
    expect(digest(await readAll(client))).toBe(digest(await readFile(raw)));
  });
});

describe('nbdkit', () => {
  it('serves a pattern: each 8 bytes are their offset', async () => {
    const uri = await folder.serveByNbdkit(['pattern', `${DISK_BYTES}`]);
    await using client = await openClient(uri);
    const bytes = await readAll(client);
    for (let at = 0; at < bytes.length; at += 8) {
      if (bytes.readBigUInt64BE(at) !== BigInt(at)) expect.unreachable(`the bytes at ${at} are others`);
    }
  });

  it('serves a large sparse disk: the same map, the same bytes', async () => {
    const uri = await folder.serveByNbdkit([
      'sparse-random',
      '6G',
      'percent=0.2',
      'runlength=65536',
      'seed=7',
    ]);
    await using client = await openClient(uri);
    const map = await mapAll(client, ALLOCATION);
    expect(map).toEqual(await nbdinfoMap(uri, ALLOCATION));
    const data = map.filter(({ type }) => type === 0);
    expect(data.length).toBeGreaterThan(10);
    const [first] = data;
    if (first === undefined) return;
    const into = Buffer.alloc(first.length);
    await client.read({ offsetBytes: first.offset, into }, signal);
    const copied = folder.join('first.raw');
    const range = `json:${JSON.stringify({
      driver: 'raw',
      offset: first.offset,
      size: first.length,
      file: { driver: 'nbd', server: { type: 'unix', path: new URL(uri).searchParams.get('socket') } },
    })}`;
    await runTool({ command: 'qemu-img', args: ['convert', '-O', 'raw', range, copied] });
    expect(digest(into)).toBe(digest(await readFile(copied)));
  });

  it('serves what memory holds, over simple replies too', async () => {
    const uri = await folder.serveByNbdkit(['--no-sr', 'memory', '1M']);
    await using client = await openClient(uri);
    expect([client.contexts, client.bytes]).toEqual([[], MIB]);
    expect(digest(await readAll(client))).toBe(digest(Buffer.alloc(MIB)));
  });

  it('with the oldest handshake of the new style is read all the same', async () => {
    const uri = await folder.serveByNbdkit(['--mask-handshake=0', 'pattern', '1M']);
    await using client = await openClient(uri);
    const into = Buffer.alloc(16);
    await client.read({ offsetBytes: MIB - 16, into }, signal);
    expect(into.readBigUInt64BE(8)).toBe(BigInt(MIB - 8));
  });

  it('that speaks the oldstyle protocol is refused with that', async () => {
    const uri = await folder.serveByNbdkit(['--oldstyle', 'memory', '1M']);
    await expect(openClient(uri)).rejects.toThrow('oldstyle');
  });

  it('that fails tells its errno and where; the client goes on', async () => {
    const trigger = folder.join('fails');
    const uri = await folder.serveByNbdkit([
      '--filter=error',
      'pattern',
      `${DISK_BYTES}`,
      'error-pread=EIO',
      'error-pread-rate=100%',
      `error-file=${trigger}`,
    ]);
    await using client = await openClient(uri);
    const into = Buffer.alloc(4096);
    await (await open(trigger, 'w')).close();
    await expect(client.read({ offsetBytes: 8 * MIB, into }, signal)).rejects.toMatchObject({
      errno: 'EIO',
      offsetBytes: 8 * MIB,
      retryable: true,
    });
    await runTool({ command: 'rm', args: [trigger] });
    await client.read({ offsetBytes: 8 * MIB, into }, signal);
    expect(into.readBigUInt64BE(0)).toBe(BigInt(8 * MIB));
  });

  it.each([
    ['retry-request', 'retry-request-delay=1'],
    ['retry', 'retry-delay=1'],
  ])('that tries again by itself (%s) is waited for', async (filter, delay) => {
    const trigger = folder.join(`fails-${filter}`);
    await (await open(trigger, 'w')).close();
    const failing = ['error-pread=EIO', 'error-pread-rate=100%', `error-file=${trigger}`];
    const uri = await folder.serveByNbdkit([
      `--filter=${filter}`,
      '--filter=error',
      ...['pattern', '1M', ...failing, delay],
    ]);
    await using client = await openClient(uri);
    const into = Buffer.alloc(8);
    const startedAt = performance.now();
    const reading = client.read({ offsetBytes: 800, into }, signal);
    setTimeout(() => rmSync(trigger), 100);
    await reading;
    expect(into.readBigUInt64BE(0)).toBe(800n);
    expect(performance.now() - startedAt).toBeGreaterThan(900);
  });

  it('that is killed fails what is read, as something to try again', async () => {
    const socket = folder.join('killed');
    await using server = await startTool({
      command: 'nbdkit',
      args: ['-f', '-r', '-U', socket, '--filter=delay', 'memory', '1M', 'rdelay=20'],
    });
    await expect.poll(() => existsSync(socket), { interval: 5, timeout: 10_000 }).toBe(true);
    await using client = await openClient(`nbd+unix:///?socket=${socket}`);
    const reading = client.read({ offsetBytes: 0, into: Buffer.alloc(512) }, signal);
    const failure = reading.catch((error: unknown) => error);
    process.kill(server.pid, 'SIGKILL');
    expect(await failure).toMatchObject({ code: 'tool-failed', retryable: true });
  });

  it('that is slow is waited for, and no longer than the timeout', async () => {
    const uri = await folder.serveByNbdkit(['--filter=delay', 'pattern', '1M', 'rdelay=400ms']);
    await using patient = await openClient(uri);
    const into = Buffer.alloc(8);
    await patient.read({ offsetBytes: 8, into }, signal);
    expect(into.readBigUInt64BE(0)).toBe(8n);
    await using hasty = await openClient(uri, { requestTimeoutMs: 150 });
    await expect(hasty.read({ offsetBytes: 0, into }, signal)).rejects.toThrow('sent nothing for 0.15 s');
  });

  it('that takes only whole blocks is asked for such', async () => {
    const uri = await folder.serveByNbdkit([
      '--filter=blocksize-policy',
      'pattern',
      '1M',
      'blocksize-minimum=4096',
      'blocksize-maximum=65536',
      'blocksize-error-policy=error',
    ]);
    await using client = await openClient(uri);
    expect(client).toMatchObject({ minBlockBytes: 4096, maxReadBytes: 65_536 });
    const into = Buffer.alloc(200_000);
    await client.read({ offsetBytes: 8, into }, signal);
    expect([into.readBigUInt64BE(0), into.readBigUInt64BE(199_992)]).toEqual([8n, 200_000n]);
  });

  it('whose second client has to wait is read over one connection', async () => {
    const uri = await folder.serveByNbdkit(['--filter=limit', 'pattern', '1M', 'limit=1']);
    // The connection that saw whether it listens may still count as its one client.
    await using client = await vi.waitFor(() => openClient(uri), { timeout: 5_000, interval: 50 });
    expect(client.connections).toBe(1);
    expect(digest(await readAll(client))).toHaveLength(64);
  });
});

describe("Debian's nbd-server", () => {
  it('is read by simple replies, and has no block status', async () => {
    const uri = await folder.serveByNbdServer(raw);
    await using client = await openClient(uri, { connections: 1 });
    expect(client).toMatchObject({ bytes: DISK_BYTES, contexts: [] });
    expect(digest(await readAll(client))).toBe(digest(await readFile(raw)));
    const request = { context: ALLOCATION, offsetBytes: 0, lengthBytes: 512 };
    await expect(client.blockStatus(request, signal)).rejects.toThrow('gives no block status');
  });

  it('has no export of another name', async () => {
    const uri = await folder.serveByNbdServer(raw);
    await expect(openClient(uri.replace('/disk', '/other'))).rejects.toMatchObject({ code: 'image-missing' });
  });
});
