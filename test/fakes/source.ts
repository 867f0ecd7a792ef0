/**
 * A source over real files: images are served by a real qemu-nbd. A test can switch the machine on, and touch its files.
 */
import { randomBytes } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { LandfallError } from '../../src/domain/errors.ts';
import type { Image, OpenImage, QemuFormat } from '../../src/domain/image.ts';
import type { Machine } from '../../src/domain/machine.ts';
import type { PowerState, Source } from '../../src/domain/ports.ts';
import { startTool } from '../../src/processes/child.ts';

export type FakeSource = Source & {
  power: PowerState;
  /** How often an image was opened for reading. */
  opened: number;
  /** Names of machines, once for each release. */
  released: string[];
  /** Called on each fingerprint; a test may change the source here. */
  onFingerprint: () => Promise<void>;
  /** What qemu-nbd serves instead of the image's file. */
  serve: readonly string[] | null;
};

const QEMU_NAMES: Readonly<Record<QemuFormat, string>> = {
  raw: 'raw',
  qcow2: 'qcow2',
  vmdk: 'vmdk',
  vhd: 'vpc',
  vhdx: 'vhdx',
};

export function createFakeSource(options: {
  machine: Machine;
  images: Readonly<Record<string, Image>>;
}): FakeSource {
  const { machine, images } = options;
  const source: FakeSource = {
    power: 'off',
    opened: 0,
    released: [],
    onFingerprint: async () => {},
    serve: null,
    machines: async () => [machine],
    powerState: async () => source.power,
    export: async ({ disk }) => imageOf(images, disk),
    open: async (image, signal) => {
      source.opened += 1;
      return openWithQemu({ image, serve: source.serve ?? served(image), signal });
    },
    fingerprint: async (image) => {
      await source.onFingerprint();
      return fingerprint(image);
    },
    release: async (request) => void source.released.push(request.machine.name),
  };
  return source;
}

function imageOf(images: Readonly<Record<string, Image>>, disk: string): Image {
  const image = images[disk];
  if (image === undefined) throw new TypeError(`the test gave no image for disk ${disk}`);
  return image;
}

async function fingerprint({ layout }: Image): Promise<string> {
  if (layout.kind !== 'single') return layout.kind;
  try {
    const { ino, size, mtimeNs, ctimeNs } = await stat(layout.file.path, { bigint: true });
    return [ino, size, mtimeNs, ctimeNs].join(':');
  } catch (error) {
    throw new LandfallError({ code: 'source-changed', message: `${layout.file.path} is gone`, cause: error });
  }
}

function served({ layout }: Image): string[] {
  if (layout.kind !== 'single') throw new TypeError('this fake serves single files only');
  return ['-f', QEMU_NAMES[layout.format], layout.file.path];
}

async function openWithQemu(open: {
  image: Image;
  serve: readonly string[];
  signal: AbortSignal;
}): Promise<OpenImage> {
  const { image, serve, signal } = open;
  const socket = join(tmpdir(), `landfall-fake-${randomBytes(6).toString('hex')}.sock`);
  const args = ['-r', '-t', '-e', '8', '-k', socket, ...serve];
  const server = await startTool({ command: 'qemu-nbd', args });
  while ((await stat(socket).catch(() => null)) === null) {
    signal.throwIfAborted();
    const ended = await Promise.race([server.exited, sleep(10)]);
    if (ended !== undefined) throw new Error(`qemu-nbd: ${ended.stderr}`);
  }
  return {
    uri: `nbd+unix:///?socket=${socket}`,
    bytes: image.bytes,
    // It only reads, so nothing is lost; asked politely, qemu-nbd first serves what is still queued.
    [Symbol.asyncDispose]: async () => void (await server.stop(0)),
  };
}
