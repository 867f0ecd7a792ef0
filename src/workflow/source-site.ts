/** Every source may say from where it can be reached, beside the options of its kind. */
import { z } from 'zod';
import type { JsonObject } from '../domain/json.ts';
import { nameSchema } from '../domain/name.ts';

const siteSchema = nameSchema
  .optional()
  .describe(
    'From where it can be reached: only workers of that site (`worker --site`) touch it. Default: every worker can',
  );

/** The options of a kind of source, and `site`. */
export function withSite(options: z.ZodType<JsonObject>): z.ZodType<JsonObject> {
  if (!(options instanceof z.ZodObject)) throw new TypeError('the options of a source are an object');
  return options.safeExtend({ site: siteSchema }) as unknown as z.ZodType<JsonObject>;
}

export function takeSite({ site, ...options }: JsonObject): { site: string | null; options: JsonObject } {
  return { site: typeof site === 'string' ? site : null, options };
}
