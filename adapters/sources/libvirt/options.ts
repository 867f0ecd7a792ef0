/** What a wave file may say under `source: libvirt:` and under `from:` of a machine. Descriptions go into the JSON schema. */
import { z } from 'zod';
import type { JsonObject } from '../../../src/domain/json.ts';

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
/** A leading dash would be an option to virsh; the rest is libvirt's to judge. */
const URI = /^qemu(\+\w+)?:\/\/\S+$/;

export const libvirtOptionsSchema = z.strictObject({
  uri: z
    .string()
    .regex(URI, 'is no libvirt URI such as qemu:///system or qemu+ssh://root@host/system')
    .default('qemu:///system')
    .describe('Which libvirt: `qemu:///system`, `qemu+ssh://user@host/system`, `qemu+tls://host/system`.'),
  images: z
    .enum(['here', 'ssh'])
    .optional()
    .describe(
      'Where disk images are read: `here`, under the same paths as there, or on that host, over `ssh`. Default: `ssh` for qemu+ssh, else `here`.',
    ),
  backingFolders: z
    .array(z.string().regex(/^\//, 'is no absolute path'))
    .default([])
    .describe(
      'Folders whose images may be backing files of disks. Default: none but those that a domain itself names.',
    ),
});

export const libvirtMachineOptionsSchema = z
  .strictObject({
    name: z.string().min(1).optional().describe('Name of the domain; `*` and `?` stand for what varies.'),
    uuid: z
      .string()
      .regex(UUID, 'is no uuid')
      .optional()
      .describe('UUID of the domain, instead of its name.'),
    tag: z
      .string()
      .min(1)
      .optional()
      .describe(
        'A tag of the domain, as a pattern like `name`: `#weekend` in its title or description, or in `<tags>` of its metadata.',
      ),
    host: z
      .string()
      .min(1)
      .optional()
      .describe('Name of the host on which the domain is, as a pattern like `name`: `*` takes all of it.'),
    os: z
      .string()
      .min(1)
      .optional()
      .describe('The guest, for example "windows2022". Default: as libosinfo\'s note on the domain says.'),
  })
  .refine(
    ({ name, tag, host, uuid }) =>
      [name, tag, host].every((each) => each === undefined) !== (uuid === undefined),
    { error: 'give `uuid`, or `name`, `tag` and `host` as needed: those domains that fit all of them' },
  );

export type LibvirtOptions = z.infer<typeof libvirtOptionsSchema>;
export type LibvirtMachineOptions = z.infer<typeof libvirtMachineOptionsSchema>;

/** A machine's `from:`, as it stands in a record that was checked when the wave was read. */
export function machineOptions(from: JsonObject): LibvirtMachineOptions {
  return libvirtMachineOptionsSchema.parse(from);
}
