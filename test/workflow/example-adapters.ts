/** Adapters with options of every shape that matters to the wave file; they open nothing. */
import { z } from 'zod';
import type { JsonObject } from '../../src/domain/json.ts';
import type { WaveAdapters } from '../../src/workflow/parse-wave.ts';

const shelf = {
  kind: 'shelf',
  options: strictOptions({ folder: z.string().min(1).describe('Folder of the images.') }),
  machineOptions: strictOptions({
    path: z.string().min(1).describe('Image, within the folder.'),
    cpus: z.int().min(1).optional(),
    firmware: z.enum(['bios', 'uefi']).optional(),
  }),
  create: refuse,
};

const hypervisor = {
  kind: 'hypervisor',
  options: strictOptions({ url: z.url(), password: z.string() }),
  machineOptions: strictOptions({ domain: z.string() }),
  create: refuse,
};

const cloud = {
  kind: 'cloud',
  options: strictOptions({
    region: z
      .string()
      .regex(/^[a-z]+-\d$/, 'is not the name of a region')
      .describe('Region.'),
    prefix: z.string().default('landfall/'),
  }),
  machineOptions: strictOptions({
    subnet: z
      .string()
      .regex(/^subnet-/, 'is not the id of a subnet')
      .optional(),
    groups: z.array(z.string()).min(1).optional(),
    tags: z.record(z.string(), z.string()).optional(),
    size: z.union([z.literal('auto'), z.strictObject({ cpus: z.int() })]).optional(),
  }),
  create: refuse,
};

export const exampleAdapters = {
  sources: { shelf, hypervisor },
  targets: { cloud },
} satisfies WaveAdapters;

/** An optional key may be undefined to TypeScript; parsed from a file it never is. */
function strictOptions(shape: z.ZodRawShape): z.ZodType<JsonObject> {
  return z.strictObject(shape) as unknown as z.ZodType<JsonObject>;
}

function refuse(): never {
  throw new Error('a wave file is read without opening its adapters');
}
