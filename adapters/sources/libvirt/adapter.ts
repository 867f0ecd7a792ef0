/** Machines of a KVM host that libvirt manages, here or remote. */
import type { z } from 'zod';
import type { SourceAdapter } from '../../../src/domain/adapter.ts';
import type { JsonObject } from '../../../src/domain/json.ts';
import { libvirtMachineOptionsSchema, libvirtOptionsSchema } from './options.ts';
import { createLibvirtSource } from './source.ts';

export const libvirtSource: SourceAdapter = {
  kind: 'libvirt',
  // Optional keys may be `undefined` to zod and are never there in JSON.
  options: libvirtOptionsSchema as unknown as z.ZodType<JsonObject>,
  machineOptions: libvirtMachineOptionsSchema as unknown as z.ZodType<JsonObject>,
  create: (options) => createLibvirtSource(libvirtOptionsSchema.parse(options)),
};
