import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { followChain } from '../../../../adapters/sources/libvirt/chain.ts';
import type { ChainFile, ImagePlace } from '../../../../adapters/sources/libvirt/image-place.ts';
import { createRemoteImages } from '../../../../adapters/sources/libvirt/remote-images.ts';
import { sshHostOf } from '../../../../adapters/sources/libvirt/ssh.ts';
import type { Image } from '../../../../src/domain/image.ts';
import { sweepScratchFolders } from '../../../../src/processes/scratch-folder.ts';
import { commandLineOf } from '../../../../tools/libvirt/libvirtd.ts';
import { makeTempFolder, type TempFolder } from '../../../images/make-appliance.ts';
import { compareImages } from '../../../images/qemu-img.ts';
import { MIB, makeBootDisk, qemuImg } from './guests.ts';
import { startSshd, type TestSshd } from './sshd.ts';

const live = new AbortController().signal;
/** The far shell looks after its session every second. */
const END_MS = 10_000;

let sshd: TestSshd;
let folder: TempFolder;
let place: ImagePlace;
let uri: string;

beforeAll(async () => {
  sshd = await startSshd();
  folder = await makeTempFolder();
  uri = sshd.uriFor('/nowhere');
  place = createRemoteImages(sshHostOf(uri));
});
afterAll(async () => {
  await sshd[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
});

const at = (name: string) => join(folder.path, name);
const imageOf = ({ path, format }: ChainFile): Image => ({
  site: null,
  bytes: 4 * MIB,
  layout: { kind: 'single', format, file: { path, offsetBytes: 0, lengthBytes: null } },
});

/** Command lines of processes that serve this file. */
async function serversOf(path: string): Promise<number> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const lines = await Promise.all(pids.map(commandLineOf));
  return lines.filter((line) => line.startsWith('qemu-nbd') && line.includes(path)).length;
}

const untilUnserved = (path: string) => expect.poll(() => serversOf(path), { timeout: END_MS }).toBe(0);

describe('images on another host', () => {
  it('are served by a qemu-nbd there, which ends with their session, whatever they are called', async () => {
    const path = await makeBootDisk(at(`it's "$(odd)".raw`));
    const file = { path, format: 'raw' } as const;
    {
      await using opened = await place.serve(imageOf(file), [file], live);
      expect(opened.bytes).toBe(4 * MIB);
      const slice = { path, offsetBytes: 0, lengthBytes: null };
      const left = { format: 'raw', file: slice } as const;
      expect(await compareImages({ left, right: { uri: opened.uri }, signal: live })).toBe(true);
      expect(await serversOf('odd')).toBe(1);
    }
    await untilUnserved('odd');
  });

  it('are let go when whoever reads them is killed', async () => {
    const path = await makeBootDisk(at('orphan.raw'));
    const script = at('reader.ts');
    const module = (name: string) => JSON.stringify(join(process.cwd(), 'adapters/sources/libvirt', name));
    await writeFile(
      script,
      `import { createRemoteImages } from ${module('remote-images.ts')};
import { sshHostOf } from ${module('ssh.ts')};
const file = { path: ${JSON.stringify(path)}, format: 'raw' };
const image = ${JSON.stringify(imageOf({ path, format: 'raw' }))};
await createRemoteImages(sshHostOf(${JSON.stringify(uri)})).serve(image, [file], new AbortController().signal);
console.log('open');
setInterval(() => {}, 1000);
`,
    );
    const reader = spawn(process.execPath, [script], { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(reader.stdout, 'data');
    expect(await serversOf(path)).toBe(1);
    reader.kill('SIGKILL');
    await once(reader, 'exit');
    await untilUnserved(path);
    await sweepScratchFolders();
  });

  it('are judged here, header by header', async () => {
    await qemuImg('create', '-q', '-f', 'qcow2', at('base.qcow2'), '4M');
    await qemuImg('create', '-q', '-f', 'qcow2', '-b', 'base.qcow2', '-F', 'qcow2', at('top.qcow2'));
    const top = { path: at('top.qcow2'), format: 'qcow2' } as const;
    const request = { place, top, named: null, folders: [folder.path], signal: live };
    const chain = await followChain(request);
    expect(chain).toEqual({ bytes: 4 * MIB, files: [top, { path: at('base.qcow2'), format: 'qcow2' }] });
    await expect(followChain({ ...request, folders: [] })).rejects.toMatchObject({ code: 'image-hostile' });
    const vmdk = { path: at('x.vmdk'), format: 'vmdk' } as const;
    await qemuImg('create', '-q', '-f', 'vmdk', vmdk.path, '4M');
    await expect(followChain({ ...request, top: vmdk })).rejects.toMatchObject({ code: 'image-unreadable' });
  });

  it('are told to be gone, or not to be images', async () => {
    const gone = { path: at('gone.raw'), format: 'raw' } as const;
    await expect(place.openFile(gone.path, live)).rejects.toMatchObject({ code: 'image-missing' });
    await expect(place.fingerprint([gone])).rejects.toMatchObject({ code: 'source-changed' });
    await expect(place.openFile(folder.path, live)).rejects.toMatchObject({ code: 'image-unreadable' });
    expect(await place.resolveLinks(gone.path, live)).toBe(gone.path);
  });

  it('change their fingerprint when they are written to', async () => {
    const path = await makeBootDisk(at('written.raw'));
    const chain = [{ path, format: 'raw' }] as const;
    const before = await place.fingerprint(chain);
    expect(await place.fingerprint(chain)).toBe(before);
    await writeFile(path, 'x', { flag: 'r+' });
    expect(await place.fingerprint(chain)).not.toBe(before);
    await rm(path);
  });
});

describe('a host that does not let us in', () => {
  it('is told as such', async () => {
    const other = uri.replace(/\/\/[^@]+@/, '//landfall-nobody@');
    const stranger = createRemoteImages(sshHostOf(other));
    const denied = { code: 'preflight-refused', retryable: false };
    await expect(stranger.fingerprint([{ path: '/x', format: 'raw' }])).rejects.toMatchObject(denied);
    const file = { path: '/x', format: 'raw' } as const;
    await expect(stranger.serve(imageOf(file), [file], live)).rejects.toMatchObject(denied);
  });

  it('or that is away, to be tried again', async () => {
    const away = createRemoteImages(sshHostOf('qemu+ssh://root@127.0.0.1:1/system'));
    const refused = {
      code: 'source-unavailable',
      retryable: true,
      message: expect.stringContaining('libvirt is away'),
    };
    await expect(away.fingerprint([{ path: '/x', format: 'raw' }])).rejects.toMatchObject(refused);
  });
});

describe('a URI', () => {
  it('says how ssh goes there', () => {
    const host = sshHostOf('qemu+ssh://ann@kvm-07:2222/system?keyfile=/k&no_verify=1&no_tty=1');
    expect(host.command).toBe('ssh');
    expect(host.args.join(' ')).toMatch(
      /-o BatchMode=yes .*-o StrictHostKeyChecking=no -i \/k -p 2222 -l ann -- kvm-07$/,
    );
    expect(sshHostOf('qemu+tls://[fe80::1]/system').args.slice(-2)).toEqual(['--', 'fe80::1']);
  });

  it.each([
    'qemu:///system',
    'qemu+ssh:///system',
    'qemu+ssh://-oProxyCommand=x/system',
    'qemu+ssh://[kvm1/system',
    'qemu+ssh://kvm1:99999/system',
    'qemu+ssh://ro%ot@kvm1/system',
  ])('that ssh cannot go by is refused: %s', (strange) => {
    expect(() => sshHostOf(strange)).toThrow(expect.objectContaining({ code: 'wave-invalid' }));
  });

  it('gives ssh nothing that it could take for an option', () => {
    const { args } = sshHostOf('qemu+ssh://-oProxyCommand%3Dx@kvm1/system?keyfile=-oProxyCommand=x');
    expect(args.slice(-2)).toEqual(['--', 'kvm1']);
    for (const option of ['-l', '-i']) expect(args[args.indexOf(option) + 1]).toMatch(/^-oProxyCommand=x$/);
  });
});
