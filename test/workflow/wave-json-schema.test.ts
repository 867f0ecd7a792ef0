import { readdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Ajv, type ValidateFunction } from 'ajv';
import ajvFormats from 'ajv-formats';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { sources, targets } from '../../adapters/registry.ts';
import { loadWave } from '../../src/workflow/load-wave.ts';
import { describeWaveFile } from '../../src/workflow/wave-json-schema.ts';
import { describeReference } from '../../src/workflow/wave-reference.ts';
import { exampleAdapters } from './example-adapters.ts';

const workflows = join(import.meta.dirname, '../../workflows');
const waveFiles = readdirSync(workflows).filter((name) => name.endsWith('.yaml'));

test('the committed schema is what the parser goes by (else: npm run schema)', async () => {
  const committed: unknown = JSON.parse(await readFile(join(workflows, 'wave.schema.json'), 'utf8'));
  expect(committed).toEqual(describeWaveFile({ sources, targets }));
});

test('the committed reference is what the schema says (else: npm run schema)', async () => {
  const committed = await readFile(join(workflows, '../docs/wave-reference.md'), 'utf8');
  expect(committed).toBe(describeReference(describeWaveFile({ sources, targets })));
});

test('there are wave files to run', () => {
  expect(waveFiles).toEqual(
    expect.arrayContaining([
      'demo.yaml',
      'aws-example.yaml',
      'weekend-example.yaml',
      'host-drain-example.yaml',
    ]),
  );
});

describe.each(waveFiles)('%s', (name) => {
  const file = join(workflows, name);

  test('names the schema for editors', async () => {
    expect(await readFile(file, 'utf8')).toMatch(
      /^# yaml-language-server: \$schema=\.\/wave\.schema\.json\n/,
    );
  });

  test('is good by the schema and by the parser', async () => {
    const validate = compile(describeWaveFile({ sources, targets }));
    validate(parse(await readFile(file, 'utf8')));
    expect(validate.errors).toBeNull();
    await expect(loadWave(file, { sources, targets })).resolves.toMatchObject({ file });
  });
});

describe('the schema', () => {
  const validate = compile(describeWaveFile(exampleAdapters));
  const good = {
    name: 'demo',
    source: { shelf: { folder: '.' } },
    target: { cloud: { region: 'north-1' } },
    defaults: { to: { subnet: 'subnet-1' }, proof: { deadline: '10m' } },
    machines: [
      { name: 'a', from: 'a.ova' },
      { name: 'b', from: { path: 'b' }, to: { groups: ['sg'] } },
    ],
  };

  test('takes a good wave', () => {
    validate(good);
    expect(validate.errors).toBeNull();
  });

  test('takes the options of the vendor that the wave names', () => {
    const source = { hypervisor: { url: 'https://esx', password: 'x' } };
    expect(validate({ ...good, source, machines: [{ name: 'a', from: { domain: 'a' } }] })).toBe(true);
    expect(validate({ ...good, machines: [{ name: 'a', from: { domain: 'a' } }] })).toBe(false);
  });

  test.each<[string, object]>([
    ['an unknown key', { ...good, machine: [] }],
    ['an unknown option of the target', { ...good, target: { cloud: { region: 'north-1', zone: 1 } } }],
    ['two sources', { ...good, source: { shelf: { folder: '.' }, hypervisor: {} } }],
    ['no source', { ...good, source: {} }],
    ['an unknown source', { ...good, source: { shelv: {} } }],
    ['an unknown key in the defaults', { ...good, defaults: { to: { subnets: 'subnet-1' } } }],
    ['an unknown key of a machine', { ...good, machines: [{ name: 'a', from: 'a', to: { group: 'x' } }] }],
    ['a name that will not do', { ...good, machines: [{ name: 'a b', from: 'a' }] }],
    ['a duration that is none', { ...good, defaults: { proof: { deadline: '3 days' } } }],
    ['no machines', { ...good, machines: [] }],
  ])('refuses %s', (_, wave) => {
    expect(validate(wave)).toBe(false);
  });

  test('explains every key to editors', () => {
    const { properties } = describeWaveFile({ sources, targets }) as { properties: object };
    const unexplained = Object.entries(properties).filter(([, each]) => !('description' in (each as object)));
    expect(unexplained).toEqual([]);
  });
});

test.each([...Object.entries(sources), ...Object.entries(targets)])(
  '%s is registered under its own name',
  (key, adapter) => {
    expect(adapter.kind).toBe(key);
  },
);

function compile(schema: object): ValidateFunction {
  const ajv = new Ajv({ allErrors: true, strict: true, strictRequired: false, strictTypes: false });
  // The package is CommonJS: its default export is the module.
  ajvFormats.default(ajv);
  return ajv.compile(schema);
}
