/** Makes disks, OVF descriptors and OVAs for tests, with real tools. */
import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { Header, type HeaderData } from 'tar';

const run = promisify(execFile);

export const MIB = 2 ** 20;

export type TempFolder = AsyncDisposable & { path: string };

export async function makeTempFolder(): Promise<TempFolder> {
  const path = await mkdtemp(join(tmpdir(), 'landfall-test-'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

/** A raw disk with random data in two places and holes between. */
export async function makeRawDisk(path: string, bytes = 4 * MIB): Promise<string> {
  await mkdir(dirname(path), { recursive: true });
  await using file = await open(path, 'w');
  await file.truncate(bytes);
  await file.write(randomBytes(100_000), 0, 100_000, 70_000);
  await file.write(randomBytes(5_000), 0, 5_000, bytes - 5_000);
  return path;
}

/** `format` as `qemu-img -O` takes it. */
export async function convertDisk(options: {
  from: string;
  to: string;
  format: string;
  subformat?: string;
}): Promise<string> {
  const { from, to, format, subformat } = options;
  const choice = subformat === undefined ? [] : ['-o', `subformat=${subformat}`];
  await run('qemu-img', ['convert', '-f', 'raw', '-O', format, ...choice, from, to]);
  return to;
}

/** A raw disk beside it and the same as a stream-optimised VMDK. */
export async function makeStreamVmdk(path: string, bytes = 4 * MIB): Promise<{ raw: string; vmdk: string }> {
  const raw = await makeRawDisk(`${path}.raw`, bytes);
  return {
    raw,
    vmdk: await convertDisk({ from: raw, to: path, format: 'vmdk', subformat: 'streamOptimized' }),
  };
}

export async function gzipFile(from: string, to: string): Promise<string> {
  await writeFile(to, gzipSync(await readFile(from), { level: 1 }));
  return to;
}

export type OvfDiskText = {
  id: string;
  /** null: blank. */
  href: string | null;
  capacity: string;
  units?: string;
  fileAttributes?: string;
};

export type OvfSystemText = {
  id: string;
  name?: string;
  disks: readonly string[];
  /** XML put into the hardware section. */
  hardware?: string;
  /** XML put into the system. */
  extra?: string;
  memoryMiB?: number;
  cpus?: number;
};

/** A descriptor as ovftool would write it, with one SCSI controller and the disks in the order given. */
export function ovfText({
  disks,
  systems,
}: {
  disks: readonly OvfDiskText[];
  systems: readonly OvfSystemText[];
}): string {
  const files = disks
    .filter(({ href }) => href !== null)
    .map(
      ({ id, href, fileAttributes = '' }) =>
        `<File ovf:id="file-${id}" ovf:href="${href}" ${fileAttributes}/>`,
    );
  const entries = disks.map(
    ({ id, href, capacity, units }) =>
      `<Disk ovf:diskId="${id}" ${href === null ? '' : `ovf:fileRef="file-${id}"`} ovf:capacity="${capacity}" ${units === undefined ? '' : `ovf:capacityAllocationUnits="${units}"`}/>`,
  );
  const bodies = systems.map(systemText);
  const content =
    bodies.length === 1
      ? bodies[0]
      : `<VirtualSystemCollection ovf:id="all"><Info/>${bodies.join('\n')}</VirtualSystemCollection>`;
  return `<?xml version="1.0" encoding="UTF-8"?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1" xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData" xmlns:vmw="http://www.vmware.com/schema/ovf" xmlns:vbox="http://www.virtualbox.org/ovf/machine">
  <References>
    ${files.join('\n    ')}
  </References>
  <DiskSection>
    <Info>Disks</Info>
    ${entries.join('\n    ')}
  </DiskSection>
  ${content}
</Envelope>
`;
}

/** An OVF item. Fields as `rasd` names them. */
export function item(fields: Readonly<Record<string, string | number>>, attributes = ''): string {
  const inner = Object.entries(fields).map(([name, value]) => `<rasd:${name}>${value}</rasd:${name}>`);
  return `<Item ${attributes}>${inner.join('')}</Item>`;
}

function systemText({
  id,
  name,
  disks,
  hardware = '',
  extra = '',
  memoryMiB = 512,
  cpus = 2,
}: OvfSystemText) {
  const drives = disks.map((disk, index) =>
    item({
      AddressOnParent: index,
      HostResource: `ovf:/disk/${disk}`,
      InstanceID: 20 + index,
      Parent: 3,
      ResourceType: 17,
    }),
  );
  return `<VirtualSystem ovf:id="${id}">
    <Info>A machine</Info>
    ${name === undefined ? '' : `<Name>${name}</Name>`}
    <OperatingSystemSection ovf:id="96" vmw:osType="debian12_64Guest"><Info/></OperatingSystemSection>
    <VirtualHardwareSection>
      <Info/>
      ${item({ InstanceID: 1, ResourceType: 3, VirtualQuantity: cpus })}
      ${item({ AllocationUnits: 'byte * 2^20', InstanceID: 2, ResourceType: 4, VirtualQuantity: memoryMiB })}
      ${item({ Address: 0, InstanceID: 3, ResourceSubType: 'lsilogic', ResourceType: 6 })}
      ${drives.join('\n      ')}
      ${item({ Connection: 'VM Network', InstanceID: 9, ResourceSubType: 'VmxNet3', ResourceType: 10, Address: '00:50:56:AB:CD:EF' })}
      ${hardware}
    </VirtualHardwareSection>
    ${extra}
  </VirtualSystem>`;
}

/** Digests of the files, as a manifest has them. */
export async function manifestText(files: readonly string[], algorithm = 'SHA256'): Promise<string> {
  const lines = await Promise.all(
    files.map(async (file) => {
      const digest = createHash(algorithm.toLowerCase())
        .update(await readFile(file))
        .digest('hex');
      return `${algorithm}(${basename(file)})= ${digest}\n`;
    }),
  );
  return lines.join('');
}

/** Packs files by the system's tar, in the order given. */
export async function packOva(ova: string, files: readonly string[], format = 'ustar'): Promise<string> {
  const args = files.flatMap((file) => ['-C', dirname(file), basename(file)]);
  await run('tar', [`--format=${format}`, '-cf', ova, ...args]);
  return ova;
}

/** One tar entry whose header says what it is told to say. */
export function tarEntry(header: HeaderData, body: Buffer | string = ''): Buffer {
  const data = Buffer.from(body);
  const block = Buffer.alloc(512);
  new Header({ mode: 0o644, uid: 0, gid: 0, size: data.length, type: 'File', ...header }).encode(block);
  return Buffer.concat([block, data, Buffer.alloc((512 - (data.length % 512)) % 512)]);
}

export const TAR_END = Buffer.alloc(1024);
