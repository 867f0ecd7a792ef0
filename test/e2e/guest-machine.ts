/** Small machines for waves of one test: a guest that boots, panics or is silent, and disks full of noise. */
import { createCipheriv, randomBytes } from 'node:crypto';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import type { JsonObject } from '../../src/domain/json.ts';
import { buildTestGuest } from '../../tools/estate/guest-variants.ts';
import type { GuestKind } from '../../tools/estate/kernel-arguments.ts';
import { CACHE, type Ground, MIB } from './ground.ts';

export type GuestMachine = {
  /** As a wave names it. */
  wave: JsonObject;
  /** Absolute paths of its disks, in order. */
  disks: readonly string[];
};

/** A BIOS machine whose disks are raw files in the ground's folder; `noiseMib` adds a data disk that no packing makes smaller. */
export async function makeMachine(
  { folder }: Ground,
  machine: { name: string; kind?: GuestKind; noiseMib?: number; proof?: JsonObject },
): Promise<GuestMachine> {
  const { name, kind = 'ok', noiseMib = 0, proof } = machine;
  const guest = await buildTestGuest({ folder, kind, firmware: 'bios', cacheFolder: CACHE, name });
  const disks = [guest.path];
  if (noiseMib > 0) disks.push(await makeNoise(join(folder, `${name}-data.raw`), noiseMib));
  const wave = {
    name,
    from: { disks: disks.map((path) => ({ path, format: 'raw' })), memory: '512MiB' },
    ...(proof === undefined ? {} : { proof }),
  };
  return { wave, disks };
}

export async function makeNoise(path: string, lengthMib: number): Promise<string> {
  const cipher = createCipheriv('aes-128-ctr', randomBytes(16), randomBytes(16));
  await using file = await open(path, 'w');
  const zeros = Buffer.alloc(MIB);
  for (let mib = 0; mib < lengthMib; mib += 1) await file.write(cipher.update(zeros));
  return path;
}
