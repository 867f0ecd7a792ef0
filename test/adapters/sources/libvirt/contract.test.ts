import { chmod, mkdtemp, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll } from 'vitest';
import { createLibvirtSource } from '../../../../adapters/sources/libvirt/source.ts';
import { filesOf } from '../../../../src/images/fingerprint.ts';
import { runTool } from '../../../../src/processes/child.ts';
import { type OwnLibvirt, startLibvirt } from '../../../../tools/libvirt/libvirtd.ts';
import { describeSourceContract, type SourceGround } from '../contract.ts';
import { domainXml, fileDisk, makeBootDisk, qemuImg } from './guests.ts';
import { startSshd, type TestSshd } from './sshd.ts';

// Its first look at qemu takes 3 s: one for all.
let libvirt: OwnLibvirt;
let sshd: TestSshd;
beforeAll(async () => {
  sshd = await startSshd();
  libvirt = await startLibvirt();
});
afterAll(async () => {
  await sshd[Symbol.asyncDispose]();
  await libvirt[Symbol.asyncDispose]();
});

/** A qcow2 over another one that the domain names; with `more` also a raw disk and a qcow2 on its own. */
async function openGround(uri: string, more: boolean): Promise<SourceGround> {
  const images = await mkdtemp(join(libvirt.folder, 'images', 'ground-'));
  await chmod(images, 0o755);
  const at = (name: string) => join(images, name);
  const raw = await makeBootDisk(at('system.raw'));
  const plain = await makeBootDisk(at('plain.raw'));
  const base = await makeBootDisk(at('base.raw'));
  await qemuImg('convert', '-f', 'raw', '-O', 'qcow2', plain, at('plain.qcow2'));
  await qemuImg('convert', '-f', 'raw', '-O', 'qcow2', base, at('base.qcow2'));
  await qemuImg('create', '-q', '-f', 'qcow2', '-b', at('base.qcow2'), '-F', 'qcow2', at('over.qcow2'));
  // So that the disk is neither of the two files alone.
  const write = ['-f', 'qcow2', '-c', 'write -P 0x5a 1M 64k', at('over.qcow2')];
  await runTool({ command: 'qemu-io', args: write });
  await qemuImg('convert', '-f', 'qcow2', '-O', 'raw', at('over.qcow2'), at('over.raw'));
  await libvirt.give(raw, at('plain.qcow2'), at('base.qcow2'), at('over.qcow2'));
  const backing = `<backingStore type='file'><format type='qcow2'/><source file='${at('base.qcow2')}'/><backingStore/></backingStore>`;
  const disks = [fileDisk({ path: at('over.qcow2'), format: 'qcow2', target: 'vda', more: backing })];
  if (more) {
    disks.push(fileDisk({ path: raw, format: 'raw', target: 'vdb' }));
    disks.push(fileDisk({ path: at('plain.qcow2'), format: 'qcow2', target: 'vdc' }));
  }
  const uuid = await libvirt.define(domainXml({ name: 'web01', disks: disks.join('') }));
  return {
    openSource: () => createLibvirtSource({ uri, backingFolders: [] }),
    from: { name: 'web01' },
    contents: { '0': at('over.raw'), ...(more ? { '1': raw, '2': plain } : {}) },
    stagingFolder: join(images, 'staging'),
    disturb: async ({ layout }) => {
      for (const path of filesOf(layout)) await utimes(path, new Date(), new Date(0));
    },
    [Symbol.asyncDispose]: async () => void (await libvirt.virsh('undefine', uuid)),
  };
}

describeSourceContract('libvirt, disks in files and over backing files', () => openGround(libvirt.uri, true));
describeSourceContract('libvirt over ssh', () => openGround(sshd.uriFor(libvirt.socketPath), false));
