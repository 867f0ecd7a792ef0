/** Packs raw disks as an OVA: stream-optimised VMDKs, descriptor, manifest. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, rm, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { runTool } from '../../src/processes/child.ts';
import { type OvfDisk, type OvfMachine, writeOvf } from './ovf.ts';

export type Appliance = {
  /** The `.ova` to be made. */
  path: string;
  machine: Omit<OvfMachine, 'disks'>;
  /** Raw images in bus order. */
  rawDisks: readonly string[];
  signal?: AbortSignal;
};

/** `stat` counts blocks of 512 bytes. */
const STAT_BLOCK_BYTES = 512;

export async function packAppliance({ path, machine, rawDisks, signal }: Appliance): Promise<void> {
  const folder = `${path}.parts`;
  await mkdir(folder);
  const disks: OvfDisk[] = [];
  for (const [index, raw] of rawDisks.entries()) {
    const file = `${machine.name}-disk${index + 1}.vmdk`;
    await convertDisk(raw, join(folder, file), signal);
    disks.push(await describeDisk(raw, join(folder, file)));
  }
  const descriptor = `${machine.name}.ovf`;
  await writeFile(join(folder, descriptor), writeOvf({ ...machine, disks }));
  const parts = [descriptor, ...disks.map(({ file }) => file)];
  const manifest = `${machine.name}.mf`;
  await writeFile(join(folder, manifest), await manifestOf(folder, parts, signal));
  // The descriptor comes first, as DSP0243 wants it, then the manifest.
  const members = [descriptor, manifest, ...parts.slice(1)];
  await runTool({
    command: 'tar',
    args: ['--format=ustar', '--owner=0', '--group=0', '-C', folder, '-cf', path, ...members],
    cwd: dirname(path),
    ...(signal && { signal }),
  });
  await rm(folder, { recursive: true });
}

async function convertDisk(raw: string, vmdk: string, signal: AbortSignal | undefined): Promise<void> {
  const shape = 'adapter_type=lsilogic,subformat=streamOptimized,compat6';
  await runTool({
    command: 'qemu-img',
    args: ['convert', '-f', 'raw', '-O', 'vmdk', '-o', shape, raw, vmdk],
    ...(signal && { signal }),
  });
}

async function describeDisk(raw: string, vmdk: string): Promise<OvfDisk> {
  const content = await stat(raw);
  return {
    file: basename(vmdk),
    fileBytes: (await stat(vmdk)).size,
    capacityBytes: content.size,
    populatedBytes: content.blocks * STAT_BLOCK_BYTES,
  };
}

async function manifestOf(
  folder: string,
  names: readonly string[],
  signal: AbortSignal | undefined,
): Promise<string> {
  const lines: string[] = [];
  for (const name of names) {
    const hash = createHash('sha256');
    await pipeline(createReadStream(join(folder, name)), hash, { ...(signal && { signal }) });
    lines.push(`SHA256(${name})= ${hash.digest('hex')}\n`);
  }
  return lines.join('');
}
