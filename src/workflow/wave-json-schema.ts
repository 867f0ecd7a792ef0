/** The JSON Schema of wave files, for editors: the same definitions that the parser uses, composed over all vendors. */
import { z } from 'zod';
import type { JsonObject } from '../domain/json.ts';
import { allowEnvReferences } from './env-options.ts';
import type { WaveAdapters } from './parse-wave.ts';
import { withSite } from './source-site.ts';
import { waveSchema } from './wave-schema.ts';

type JsonSchema = { [key: string]: unknown };
type Vendors = Readonly<
  Record<string, { options: z.ZodType<JsonObject>; machineOptions: z.ZodType<JsonObject> }>
>;

/** Draft 7, which every editor's YAML support reads. */
const DRAFT = 'draft-07';

export function describeWaveFile({ sources, targets }: WaveAdapters): JsonSchema {
  const { properties, ...wave } = describe(waveSchema) as JsonSchema & {
    properties: Record<string, JsonSchema>;
  };
  return {
    ...wave,
    $id: 'wave.schema.json',
    title: 'Landfall wave',
    properties: {
      ...properties,
      source: { ...properties.source, ...oneVendor(sources, withSite) },
      target: { ...properties.target, ...oneVendor(targets) },
    },
    allOf: [
      ...Object.entries(sources).map(([kind, { machineOptions }]) =>
        whenVendor('source', kind, { machines: eachMachine({ from: fromOptions(machineOptions) }) }),
      ),
      ...Object.entries(targets).map(([kind, { machineOptions }]) => {
        const to = describeOptions(machineOptions);
        return whenVendor('target', kind, {
          machines: eachMachine({ to }),
          defaults: { properties: { to } },
        });
      }),
    ],
  };
}

function oneVendor(vendors: Vendors, extend = (options: z.ZodType<JsonObject>) => options): JsonSchema {
  const options = Object.entries(vendors).map(([kind, vendor]) => [
    kind,
    describeOptions(extend(vendor.options)),
  ]);
  return {
    type: 'object',
    properties: Object.fromEntries(options),
    propertyNames: { enum: Object.keys(vendors) },
    additionalProperties: false,
    minProperties: 1,
    maxProperties: 1,
  };
}

/** Which options a machine has depends on the vendor that the wave names. */
function whenVendor(role: 'source' | 'target', kind: string, properties: JsonSchema): JsonSchema {
  // biome-ignore lint/suspicious/noThenProperty: JSON Schema's own word; nothing awaits this object
  return { if: { properties: { [role]: { required: [kind] } }, required: [role] }, then: { properties } };
}

function eachMachine(properties: JsonSchema): JsonSchema {
  return { items: { properties } };
}

function fromOptions(machineOptions: z.ZodType<JsonObject>): JsonSchema {
  const short = { type: 'string', description: 'Short for { path: … }.' };
  return { anyOf: [short, describeOptions(machineOptions)] };
}

function describeOptions(options: z.ZodType<JsonObject>): JsonSchema {
  return describe(allowEnvReferences(options));
}

function describe(schema: z.ZodType): JsonSchema {
  const { $schema, ...rest } = z.toJSONSchema(schema, { io: 'input', target: DRAFT, unrepresentable: 'any' });
  return schema === waveSchema ? { $schema, ...rest } : rest;
}
