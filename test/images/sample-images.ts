/** Disk images for tests, made by qemu-img in a folder of their own that goes with its owner. */
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { deflateSync } from 'node:zlib';
import { runTool } from '../../src/processes/child.ts';

export type SampleFolder = AsyncDisposable & { path: string; join(name: string): string };

export async function openSampleFolder(): Promise<SampleFolder> {
  const path = await mkdtemp(join(tmpdir(), 'landfall-test-images-'));
  return {
    path,
    join: (name) => join(path, name),
    [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }),
  };
}

export const SAMPLE_BYTES = 5 * 2 ** 20;

/** 5 MiB: noise at the start, past the first MiB and in the last sector, holes between. */
export async function writeSampleDisk(path: string): Promise<void> {
  await using file = await open(path, 'w');
  await file.truncate(SAMPLE_BYTES);
  await file.write(randomBytes(70_000), 0, 70_000, 0);
  await file.write(randomBytes(300_000), 0, 300_000, 2 ** 20);
  await file.write(randomBytes(512), 0, 512, SAMPLE_BYTES - 512);
}

/** Every format and subformat that is taken, as qemu-img writes it: path within the folder, driver, options. */
export const SAMPLES = [
  { file: 'v3.qcow2', driver: 'qcow2', options: [] },
  { file: 'v2.qcow2', driver: 'qcow2', options: ['-o', 'compat=0.10'] },
  { file: 'packed.qcow2', driver: 'qcow2', options: ['-c'] },
  { file: 'small-clusters.qcow2', driver: 'qcow2', options: ['-o', 'cluster_size=512,refcount_bits=1'] },
  { file: 'sparse.vmdk', driver: 'vmdk', options: ['-o', 'subformat=monolithicSparse'] },
  { file: 'stream.vmdk', driver: 'vmdk', options: ['-o', 'subformat=streamOptimized'] },
  { file: 'flat/d.vmdk', driver: 'vmdk', options: ['-o', 'subformat=monolithicFlat'] },
  { file: 'split-sparse/d.vmdk', driver: 'vmdk', options: ['-o', 'subformat=twoGbMaxExtentSparse'] },
  { file: 'split-flat/d.vmdk', driver: 'vmdk', options: ['-o', 'subformat=twoGbMaxExtentFlat'] },
  { file: 'fixed.vhd', driver: 'vpc', options: ['-o', 'subformat=fixed,force_size=on'] },
  { file: 'dynamic.vhd', driver: 'vpc', options: ['-o', 'subformat=dynamic,force_size=on'] },
  { file: 'fixed.vhdx', driver: 'vhdx', options: ['-o', 'subformat=fixed'] },
  { file: 'dynamic.vhdx', driver: 'vhdx', options: ['-o', 'subformat=dynamic'] },
] as const;

export type SampleName = (typeof SAMPLES)[number]['file'];

export async function convertSample(request: { raw: string; folder: SampleFolder; file: SampleName }) {
  const { raw, folder, file } = request;
  const sample = SAMPLES.find((candidate) => candidate.file === file);
  if (sample === undefined) throw new TypeError(`no sample ${file}`);
  const path = folder.join(file);
  await mkdir(dirname(path), { recursive: true });
  const args = ['convert', '-f', 'raw', '-O', sample.driver, ...sample.options, raw, path];
  await runTool({ command: 'qemu-img', args });
  return path;
}

/** Overwrites bytes in place. */
export async function patch(path: string, at: number, bytes: Uint8Array | string): Promise<void> {
  await using file = await open(path, 'r+');
  const buffer = typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes;
  await file.write(buffer, 0, buffer.length, at);
}

export function u32be(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value >>> 0);
  return bytes;
}

export function u32le(value: number): Buffer {
  return u32be(value).reverse();
}

export function u64be(value: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(value);
  return bytes;
}

export function u64le(value: bigint): Buffer {
  return u64be(value).reverse();
}

const SECTOR = 512;
const GRAIN_SECTORS = 128;
const ENTRIES = 512;

/**
 * A stream-optimised VMDK as VMware and VirtualBox write it, with its directory and a footer at its end (qemu-img
 * puts the directory first and writes no footer). `disk` must fit one grain table: 32 MiB.
 */
export async function writeStreamVmdk(path: string, disk: Buffer): Promise<void> {
  const capacity = disk.length / SECTOR;
  const blocks: Buffer[] = [
    streamHeader({ capacity, directory: 0xffff_ffff_ffff_ffffn }),
    padded(streamDescriptor(capacity), 20 * SECTOR),
    Buffer.alloc((GRAIN_SECTORS - 21) * SECTOR),
  ];
  let sector = GRAIN_SECTORS;
  const add = (block: Buffer): number => {
    const at = sector;
    blocks.push(block);
    sector += block.length / SECTOR;
    return at;
  };
  const table = Buffer.alloc(ENTRIES * 4);
  for (let grain = 0; grain * GRAIN_SECTORS < capacity; grain += 1) {
    const data = padded(
      disk.subarray(grain * GRAIN_SECTORS * SECTOR, (grain + 1) * GRAIN_SECTORS * SECTOR),
      GRAIN_SECTORS * SECTOR,
    );
    if (data.every((byte) => byte === 0)) continue;
    const packed = deflateSync(data);
    const block = Buffer.concat([u64le(BigInt(grain * GRAIN_SECTORS)), u32le(packed.length), packed]);
    table.writeUInt32LE(add(padded(block)), grain * 4);
  }
  add(marker(4, 1));
  const tableSector = add(table);
  add(marker(1, 2));
  const directorySector = add(padded(u32le(tableSector)));
  add(marker(1, 3));
  add(streamHeader({ capacity, directory: BigInt(directorySector) }));
  add(Buffer.alloc(SECTOR));
  await writeFile(path, Buffer.concat(blocks));
}

function streamHeader({ capacity, directory }: { capacity: number; directory: bigint }): Buffer {
  const header = Buffer.alloc(SECTOR);
  header.write('KDMV', 0, 'latin1');
  header.writeUInt32LE(3, 4);
  header.writeUInt32LE(0x30001, 8);
  header.writeBigUInt64LE(BigInt(capacity), 12);
  header.writeBigUInt64LE(BigInt(GRAIN_SECTORS), 20);
  header.writeBigUInt64LE(1n, 28);
  header.writeBigUInt64LE(20n, 36);
  header.writeUInt32LE(ENTRIES, 44);
  header.writeBigUInt64LE(directory, 56);
  header.writeBigUInt64LE(BigInt(GRAIN_SECTORS), 64);
  header.write('\n \r\n', 73, 'latin1');
  header.writeUInt16LE(1, 77);
  return header;
}

function streamDescriptor(capacity: number): Buffer {
  return Buffer.from(`# Disk DescriptorFile
version=1
CID=4a2f0c1b
parentCID=ffffffff
isNativeSnapshot="no"
createType="streamOptimized"

# Extent description
RDONLY ${capacity} SPARSE "call-me-stream.vmdk"

# The Disk Data Base
#DDB

ddb.adapterType = "lsilogic"
ddb.geometry.cylinders = "5"
ddb.geometry.heads = "64"
ddb.geometry.sectors = "32"
ddb.longContentID = "0d0c0b0a090807060504030201004a2f"
ddb.uuid.image="6f0bb9d4-3b0c-4d5e-8f0c-6e0a8a5ad0a1"
ddb.virtualHWVersion = "13"
`);
}

function marker(sectors: number, type: number): Buffer {
  return padded(Buffer.concat([u64le(BigInt(sectors)), u32le(0), u32le(type)]));
}

function padded(bytes: Buffer, lengthBytes = Math.ceil(bytes.length / SECTOR) * SECTOR): Buffer {
  return Buffer.concat([bytes, Buffer.alloc(lengthBytes - bytes.length)]);
}
