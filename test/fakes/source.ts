/**
 * A source over real files: images are served by a real qemu-nbd. A test can switch the machine on, and touch its files.
 */
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { LandfallError } from '../../src/domain/errors.ts';
import type { Image, OpenImage } from '../../src/domain/image.ts';
import type { Machine } from '../../src/domain/machine.ts';
import type { PowerState, Source } from '../../src/domain/ports.ts';
import { openImageOverNbd } from '../../src/images/qemu-nbd.ts';
import { startTool } from '../../src/processes/child.ts';

export type FakeSource = Source & {
  power: PowerState;
  /** How often an image was opened for reading. */
  opened: number;
  /** Names of machines, once for each release. */
  released: string[];
  /** Called on each fingerprint; a test may change the source here. */
  onFingerprint: () => Promise<void>;
  /** Arguments for a qemu-nbd that serves something else than the image's own file; null: none. */
  serve: readonly string[] | null;
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
      const { serve } = source;
      return serve === null ? openImageOverNbd(image, signal) : openWithQemu({ image, serve });
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

async function openWithQemu(open: { image: Image; serve: readonly string[] }): Promise<OpenImage> {
  const folder = await mkdtemp(join(tmpdir(), 'landfall-fake-'));
  const socket = join(folder, 'nbd.sock');
  const args = ['-r', '-t', '-e', '8', '-k', socket, ...open.serve];
  const server = await startTool({ command: 'qemu-nbd', args });
  while ((await stat(socket).catch(() => null)) === null) {
    const ended = await Promise.race([server.exited, sleep(10)]);
    if (ended !== undefined) throw new Error(`qemu-nbd: ${ended.stderr}`);
  }
  return {
    uri: `nbd+unix:///?socket=${socket}`,
    bytes: open.image.bytes,
    [Symbol.asyncDispose]: async () => {
      // It only reads, so nothing is lost; asked politely, qemu-nbd first serves what is still queued.
      await server.stop(0);
      await rm(folder, { recursive: true });
    },
  };
}
