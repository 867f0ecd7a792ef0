/** A folder for one test, in which machines are made and then read by the source `files`. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Image } from '../../../../src/domain/image.ts';
import type { JsonObject } from '../../../../src/domain/json.ts';
import type { Machine } from '../../../../src/domain/machine.ts';
import type { Source } from '../../../../src/domain/ports.ts';
import {
  MIB,
  makeTempFolder,
  type OvfDiskText,
  type OvfSystemText,
  ovfText,
  type TempFolder,
} from '../../../images/make-appliance.ts';
import { compareImages } from '../../../images/qemu-img.ts';
import { openFilesSource } from './ground.ts';

export type MachineFolder = TempFolder & {
  at(...names: string[]): string;
  /** A new one each time: what is known in memory does not count. */
  openSource(): Source;
  machines(from: JsonObject): Promise<Machine[]>;
  onlyMachine(from: JsonObject): Promise<Machine>;
  /** Writes shop.ovf into the folder, with a disk unless told otherwise; gives its path. */
  writeOvf(content: { disks?: readonly OvfDiskText[]; systems?: readonly OvfSystemText[] }): Promise<string>;
  equalsRaw(image: Image, raw: string): Promise<boolean>;
};

export const DISK: OvfDiskText = { id: 'd0', href: 'd0.vmdk', capacity: String(4 * MIB) };
export const SYSTEM: OvfSystemText = { id: 'vm', name: 'shop', disks: ['d0'] };

const live = new AbortController().signal;

export async function openMachineFolder(): Promise<MachineFolder> {
  const folder = await makeTempFolder();
  const at = (...names: string[]) => join(folder.path, ...names);
  const openSource = () => openFilesSource(folder.path);
  const machines = (from: JsonObject) => openSource().machines(from, live);
  await mkdir(at('scratch'));
  return {
    ...folder,
    at,
    openSource,
    machines,
    async onlyMachine(from) {
      const [machine, ...more] = await machines(from);
      if (machine === undefined || more.length > 0) throw new Error('not one machine');
      return machine;
    },
    async writeOvf({ disks = [DISK], systems = [SYSTEM] }) {
      await writeFile(at('shop.ovf'), ovfText({ disks, systems }));
      return at('shop.ovf');
    },
    async equalsRaw(image, raw) {
      await using opened = await openSource().open(image, live);
      const left = { format: 'raw', file: { path: raw, offsetBytes: 0, lengthBytes: null } } as const;
      return await compareImages({ left, right: { uri: opened.uri }, signal: live });
    },
  };
}
