/** TLS against real servers, with certificates made here. */
import { readFile, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openNbd } from '../../src/blocks/nbd-client.ts';
import type { NbdTls } from '../../src/blocks/nbd-socket.ts';
import { runTool } from '../../src/processes/child.ts';
import { openFakeNbd } from './nbd-fake-server.ts';
import { type NbdFolder, openNbdFolder } from './nbd-servers.ts';
import { optionReply, REPLY } from './nbd-wire.ts';

const MIB = 2 ** 20;
const signal = AbortSignal.timeout(120_000);

let folder: NbdFolder;
let authority: string;
let client: Required<Pick<NbdTls, 'certificate' | 'key'>>;
let byQemu: string;
let byNbdkit: string;

beforeAll(async () => {
  folder = await openNbdFolder();
  await makeCertificates();
  authority = await readFile(folder.join('ca-cert.pem'), 'utf8');
  client = {
    certificate: await readFile(folder.join('client-cert.pem'), 'utf8'),
    key: await readFile(folder.join('client-key.pem'), 'utf8'),
  };
  const disk = folder.join('disk.raw');
  await writeFile(disk, Buffer.alloc(MIB, 0x5a));
  const credentials = `tls-creds-x509,id=tls0,endpoint=server,dir=${folder.join('')},verify-peer=yes`;
  byQemu = await folder.serve({
    command: 'qemu-nbd',
    isTls: true,
    args: (socket) => [
      ...['-r', '-t', '-e', '8', '-k', socket, '-f', 'raw'],
      ...['--object', credentials, '--tls-creds', 'tls0', disk],
    ],
  });
  byNbdkit = await folder.serve({
    command: 'nbdkit',
    isTls: true,
    args: (socket) => [
      ...['-f', '-r', '-U', socket, '--tls=require', `--tls-certificates=${folder.join('')}`],
      ...['pattern', '1M'],
    ],
  });
});

afterAll(() => folder[Symbol.asyncDispose]());

async function makeCertificates(): Promise<void> {
  const openssl = (args: readonly string[]) => runTool({ command: 'openssl', args });
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  await openssl([
    ...['req', '-x509', ...newKey, '-subj', '/CN=test authority', '-days', '2'],
    ...['-keyout', folder.join('ca-key.pem'), '-out', folder.join('ca-cert.pem')],
  ]);
  for (const { name, usage } of [
    { name: 'server', usage: 'serverAuth' },
    { name: 'client', usage: 'clientAuth' },
  ]) {
    const extensions = folder.join(`${name}.ext`);
    await writeFile(extensions, `subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=${usage}\n`);
    await openssl([
      ...['req', ...newKey, '-subj', `/CN=${name}`],
      ...['-keyout', folder.join(`${name}-key.pem`), '-out', folder.join(`${name}.csr`)],
    ]);
    await openssl([
      ...['x509', '-req', '-in', folder.join(`${name}.csr`), '-days', '2', '-extfile', extensions],
      ...['-CA', folder.join('ca-cert.pem'), '-CAkey', folder.join('ca-key.pem'), '-CAcreateserial'],
      ...['-out', folder.join(`${name}-cert.pem`)],
    ]);
  }
}

async function readAll(uri: string, tls: NbdTls): Promise<Buffer> {
  await using opened = await openNbd({ uri, tls, contexts: ['base:allocation'], signal });
  expect(opened.contexts).toEqual(['base:allocation']);
  const into = Buffer.alloc(opened.bytes);
  await opened.read({ offsetBytes: 0, into }, signal);
  return into;
}

describe('over TLS', () => {
  it('qemu-nbd, which asks for a certificate of ours, is read', async () => {
    const bytes = await readAll(byQemu, { authority, ...client });
    expect(bytes.equals(Buffer.alloc(MIB, 0x5a))).toBe(true);
  });

  it('nbdkit is read', async () => {
    const bytes = await readAll(byNbdkit, { authority });
    expect(bytes.readBigUInt64BE(MIB - 8)).toBe(BigInt(MIB - 8));
  });

  it('a server whose authority is not ours is refused', async () => {
    await expect(openNbd({ uri: byNbdkit, signal })).rejects.toMatchObject({
      code: 'image-unreadable',
      message: expect.stringMatching(/^TLS with the NBD server of .* failed: /),
    });
  });

  it('a server whose certificate names another host is refused', async () => {
    const opening = openNbd({ uri: `${byNbdkit}&tls-hostname=web01`, tls: { authority }, signal });
    await expect(opening).rejects.toThrow('web01');
  });

  it('a server that wants a certificate of ours refuses us without one', async () => {
    await expect(openNbd({ uri: byQemu, tls: { authority }, signal })).rejects.toThrow(/certificate|hung up/);
  });

  it('is what a server that insists on it is said to want', async () => {
    const uri = byNbdkit.replace('nbds', 'nbd');
    await expect(openNbd({ uri, signal })).rejects.toThrow('Write nbds://');
  });

  it('a server without it is not read in the clear', async () => {
    const uri = (await folder.serveByNbdkit(['memory', '1M'])).replace('nbd+', 'nbds+');
    await expect(openNbd({ uri, tls: { authority }, signal })).rejects.toThrow('refused TLS');
  });

  it('what somebody adds in the clear before the handshake is not taken for the server’s word', async () => {
    const ready = optionReply(5, REPLY.ack);
    await using fake = await openFakeNbd({
      onOption: (option) => (option === 5 ? Buffer.concat([ready, optionReply(8, REPLY.ack)]) : undefined),
    });
    const uri = fake.uri.replace('nbd:', 'nbds:');
    await expect(openNbd({ uri, signal })).rejects.toThrow('bytes more than was agreed');
  });
});
