/** The reference of wave files as Markdown, from the JSON Schema that editors get: nothing in it is written by hand. */

export type DescribedSchema = {
  description?: string;
  type?: string | string[];
  const?: unknown;
  enum?: unknown[];
  default?: unknown;
  pattern?: string;
  minimum?: number;
  maximum?: number;
  required?: string[];
  properties?: Record<string, DescribedSchema>;
  additionalProperties?: DescribedSchema | boolean;
  items?: DescribedSchema;
  anyOf?: DescribedSchema[];
  allOf?: { if?: DescribedSchema; then?: DescribedSchema }[];
};

type Section = { title: string; schema: DescribedSchema };

const INTRODUCTION = `# Wave file reference

Every key of a wave file, made from the schema that \`landfall plan\` checks files against (\`npm run schema\`).
[docs/wave.md](wave.md) explains them.
`;

export function describeReference(schema: DescribedSchema): string {
  const sections = [{ title: 'The wave', schema }, ...sectionsBelow(schema, []), ...vendorSections(schema)];
  return `${[INTRODUCTION, ...sections.map(describeSection)].join('\n')}`;
}

/** Every map with keys of its own, in the order of the file. */
function sectionsBelow(schema: DescribedSchema, path: readonly string[]): Section[] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, child]) => {
    const below = [...path, name];
    return formsOf(child).flatMap((form) => [
      ...(form.properties === undefined ? [] : [{ title: `\`${below.join('.')}\``, schema: form }]),
      ...sectionsBelow(form, below),
    ]);
  });
}

/** What a vendor's own words are depends on the vendor that the wave names. */
function vendorSections({ allOf = [] }: DescribedSchema): Section[] {
  return allOf.flatMap(({ if: condition, then }) => {
    const [role = '', of] = Object.entries(condition?.properties ?? {})[0] ?? [];
    const vendor = of?.required?.[0] ?? '';
    const machines = then?.properties?.machines;
    return sectionsBelow({ properties: machines === undefined ? {} : { machines } }, [])
      .filter(({ title }) => title !== '`machines`')
      .map(({ title, schema }) => ({ title: `${title} with \`${role}: ${vendor}\``, schema }));
  });
}

/** The map in a list, a choice of forms, or a map by name. */
function formsOf(schema: DescribedSchema): DescribedSchema[] {
  const { items, anyOf = [], additionalProperties } = schema;
  const inner = [
    items,
    ...anyOf,
    typeof additionalProperties === 'object' ? additionalProperties : undefined,
  ];
  const forms = inner.filter((form) => form !== undefined).flatMap(formsOf);
  return schema.properties === undefined ? forms : [schema, ...forms];
}

function describeSection({ title, schema }: Section): string {
  const needed = new Set(schema.required);
  const rows = Object.entries(schema.properties ?? {}).map(([name, child]) => {
    const cells = [
      `\`${name}\``,
      describeValues(child),
      needed.has(name) ? 'yes' : '',
      child.description ?? '',
    ];
    return `| ${cells.map((cell) => cell.replaceAll('|', '\\|').replaceAll('\n', ' ')).join(' | ')} |`;
  });
  return `## ${title}\n\n| key | values | needed | meaning |\n|---|---|---|---|\n${rows.join('\n')}\n`;
}

function describeValues(schema: DescribedSchema): string {
  const { anyOf, items, type, additionalProperties } = schema;
  if (schema.const !== undefined) return `\`${String(schema.const)}\``;
  if (schema.enum !== undefined) return schema.enum.map((value) => `\`${String(value)}\``).join(', ');
  if (anyOf !== undefined) return [...new Set(anyOf.map(describeValues))].join(', or ');
  if (items !== undefined) return `list of ${describeValues(items)}`;
  if (type === 'object')
    return typeof additionalProperties === 'object' && schema.properties === undefined
      ? 'map by name'
      : 'map';
  if (type === 'integer' || type === 'number') return describeRange(schema);
  if (type === 'boolean') return 'true, false';
  return type === 'string' ? 'text' : 'any';
}

function describeRange({ minimum, maximum }: DescribedSchema): string {
  if (minimum === undefined || minimum < -1e9) return 'number';
  return maximum === undefined || maximum > 1e9 ? `at least ${minimum}` : `${minimum} to ${maximum}`;
}
