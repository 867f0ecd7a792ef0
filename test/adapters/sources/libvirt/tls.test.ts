/** A libvirtd that is reached over TLS alone, with certificates of its own CA: images lie under the same paths here. */
import { chmod, chown, mkdir, readdir } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createLibvirtSource } from '../../../../adapters/sources/libvirt/source.ts';
import type { Machine } from '../../../../src/domain/machine.ts';
import type { Source } from '../../../../src/domain/ports.ts';
import { type OwnLibvirt, startLibvirt } from '../../../../tools/libvirt/libvirtd.ts';
import { makeCertificates } from '../../../../tools/libvirt/throw-away-ca.ts';
import { createStepContext } from '../../../fakes/step-context.ts';
import { makeTempFolder, type TempFolder } from '../../../images/make-appliance.ts';
import { domainXml, fileDisk, MIB, makeBootDisk } from './guests.ts';

const live = new AbortController().signal;
const NOBODY = 65534;

let folder: TempFolder;
let libvirt: OwnLibvirt;
let port: number;

beforeAll(async () => {
  folder = await makeTempFolder();
  const certificates = await makePki('pki');
  await makePki('strangers');
  await mkdir(join(folder.path, 'nothing'));
  port = await freePort();
  libvirt = await startLibvirt({ tls: { port, certificates } });
  const disk = await makeBootDisk(join(libvirt.folder, 'images', 'web01.raw'));
  await libvirt.give(disk);
  const disks = fileDisk({ path: disk, format: 'raw', target: 'vda' });
  await libvirt.define(domainXml({ name: 'web01', disks }));
}, 60_000);
afterAll(async () => {
  await libvirt?.[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
});

/** The daemon runs as nobody and must read its key. */
async function makePki(name: string): Promise<string> {
  const path = join(folder.path, name);
  await mkdir(path);
  await makeCertificates(path);
  await chmod(folder.path, 0o755);
  if (process.getuid?.() === 0)
    for (const file of await readdir(path)) await chown(join(path, file), NOBODY, NOBODY);
  return path;
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const bound = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof bound === 'object' ? (bound?.port ?? 0) : 0;
}

function sourceBy(pki: string): Source {
  const uri = `qemu+tls://127.0.0.1:${port}/session?pkipath=${join(folder.path, pki)}`;
  return createLibvirtSource({ uri, backingFolders: [] });
}

async function web01(source: Source): Promise<Machine> {
  const [machine] = await source.machines({ name: 'web01' }, live);
  if (machine === undefined) throw new Error('there is no web01');
  return machine;
}

describe('a libvirt over TLS', () => {
  it('is read, exported from, turned on, and turned off', async () => {
    const source = sourceBy('pki');
    const machine = await web01(source);
    expect(machine.disks).toMatchObject([{ bytes: 4 * MIB, format: 'raw' }]);
    const request = { from: { name: 'web01' }, machine, disk: '0', pass: 0, stagingFolder: folder.path };
    const exported = await source.export(request, createStepContext());
    await using opened = await source.open(exported, live);
    expect(opened.bytes).toBe(4 * MIB);
    await source.control?.powerOn(machine, live);
    expect(await source.powerState(machine, live)).toBe('on');
    await source.control?.writeNote(machine, 'moved', live);
    expect(await source.control?.readNote(machine, live)).toBe('moved');
    await source.control?.cutOff(machine, live);
    expect(await source.powerState(machine, live)).toBe('off');
  });

  it.each([
    ['another CA speaks for the host', 'strangers'],
    ['certificates are missing', 'nothing'],
  ])('is not waited for where %s: somebody must see to that', async (_what, pki) => {
    await expect(web01(sourceBy(pki))).rejects.toMatchObject({
      code: 'preflight-refused',
      retryable: false,
      message: expect.stringMatching(/certificate.*pkipath/is),
    });
  });
});
