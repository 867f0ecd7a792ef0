/** Machines that lie on disk as files: appliances and disk images. */
import type { z } from 'zod';
import type { SourceAdapter } from '../../../src/domain/adapter.ts';
import type { JsonObject } from '../../../src/domain/json.ts';
import { filesMachineOptionsSchema, filesOptionsSchema } from './options.ts';
import { createFilesSource } from './source.ts';

export const filesSource: SourceAdapter = {
  kind: 'files',
  // Optional keys may be `undefined` to zod and are never there in JSON.
  options: filesOptionsSchema as unknown as z.ZodType<JsonObject>,
  machineOptions: filesMachineOptionsSchema as unknown as z.ZodType<JsonObject>,
  create: (options, environment) => createFilesSource(filesOptionsSchema.parse(options), environment),
};
