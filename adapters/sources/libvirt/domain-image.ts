/** The image of a domain's disk: where its files are, and whose they are, so that its state can be asked for again. */
import { z } from 'zod';
import type { Image } from '../../../src/domain/image.ts';

const fileSchema = z.object({
  path: z.string(),
  format: z.enum(['raw', 'qcow2', 'vmdk', 'vhd', 'vhdx']),
});

const ownSchema = z.object({
  libvirt: z.object({
    uuid: z.string(),
    name: z.string(),
    target: z.string(),
    /** From the top on; each passed the header guard. */
    chain: z.array(fileSchema).min(1),
  }),
});

export type DomainImage = Image & z.infer<typeof ownSchema>;

/** Images come back from records as plain data. */
export function asDomainImage(image: Image): DomainImage {
  return { ...image, ...ownSchema.parse(image) };
}
