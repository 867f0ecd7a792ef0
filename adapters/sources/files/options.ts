/** What a wave file may say under `source: files:` and under `from:` of a machine. Descriptions go into the JSON schema. */
import { z } from 'zod';
import type { JsonObject } from '../../../src/domain/json.ts';

const UNITS: Readonly<Record<string, number>> = { KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30, TiB: 2 ** 40 };
/** Nobody gives a machine fewer MiB, or as many GiB. */
const FEWEST_MIB = 256;
const MEMORY = /^(\d+(?:\.\d+)?)\s*([KMGT]iB)$/;

const format = z
  .enum(['raw', 'qcow2', 'vmdk', 'vhd', 'vhdx'])
  .describe(
    'Format of the image. Default: told by its content. Needed only for a raw disk that looks like another.',
  );

export const filesOptionsSchema = z.strictObject({
  folder: z
    .string()
    .min(1)
    .optional()
    .describe('Folder against which relative paths resolve. Default: the folder of the wave file.'),
});

export const filesMachineOptionsSchema = z
  .strictObject({
    path: z
      .string()
      .min(1)
      .optional()
      .describe('An appliance (.ova, .ovf, .vmx, or a folder with one of the latter two) or a disk image.'),
    disks: z
      .array(
        z.strictObject({
          path: z.string().min(1).describe('A disk image.'),
          format: format.optional(),
        }),
      )
      .min(1)
      .max(64)
      .optional()
      .describe('Disk images that make up the machine, in bus order; the first boots. Instead of `path`.'),
    folder: z
      .string()
      .min(1)
      .optional()
      .describe(
        'A folder whose appliances and disk images are each a machine; those that belong to an appliance are none. Instead of `path`.',
      ),
    name: z
      .string()
      .min(1)
      .optional()
      .describe(
        'Which machine of an appliance that holds several. Of a folder: those whose names fit; `*` and `?` stand for what varies.',
      ),
    firmware: z
      .enum(['bios', 'uefi'])
      .optional()
      .describe(
        'How the machine boots. Default: as the appliance says; for a disk image bios, or uefi where its table shows it.',
      ),
    secureBoot: z.boolean().optional().describe('Does the machine boot with UEFI secure boot?'),
    cpus: z.int().min(1).max(1024).optional().describe('Processors. Default: as the appliance says, else 1.'),
    memory: z
      .union([
        z.int().min(2 ** 20, { error: ({ input }) => sayTooLittle(Number(input)) }),
        z.string().regex(MEMORY, 'is no size such as 2GiB or 512MiB'),
      ])
      .optional()
      .describe('Memory, as "2GiB" or in bytes. Default: as the appliance says, else 1GiB.'),
    os: z
      .string()
      .min(1)
      .optional()
      .describe('The guest, for example "windows2022". Windows guests need their drivers injected.'),
  })
  .refine(
    ({ path, disks, folder }) => [path, disks, folder].filter((each) => each !== undefined).length === 1,
    {
      error: 'give one of `path`, `disks` and `folder`',
    },
  )
  .refine(({ name, disks }) => name === undefined || disks === undefined, {
    error: '`name` chooses a machine of an appliance or a folder, and `disks` are none',
  });

/** Bytes are seldom meant by so small a number. */
function sayTooLittle(memory: number): string {
  const unit = memory < FEWEST_MIB ? 'GiB' : 'MiB';
  const meant = memory > 0 ? `: did you mean "${memory}${unit}"?` : ', such as "2GiB"';
  return `needs a unit (${memory} would be bytes)${meant}`;
}

export type FilesOptions = z.infer<typeof filesOptionsSchema>;
export type FilesMachineOptions = z.infer<typeof filesMachineOptionsSchema>;

/** A machine's `from:`, as it stands in a record that was checked when the wave was read. */
export function machineOptions(from: JsonObject): FilesMachineOptions {
  return filesMachineOptionsSchema.parse(from);
}

export function memoryBytes(memory: number | string): number {
  if (typeof memory === 'number') return memory;
  const [, number = '', unit = ''] = MEMORY.exec(memory) ?? [];
  return Math.floor(Number(number) * (UNITS[unit] ?? 1));
}
