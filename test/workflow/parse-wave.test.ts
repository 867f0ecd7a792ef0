import { describe, expect, test } from 'vitest';
import { LandfallError } from '../../src/domain/errors.ts';
import type { Wave } from '../../src/domain/wave.ts';
import { parseWave } from '../../src/workflow/parse-wave.ts';
import { PLAIN_PLAN, PLAIN_WAVE } from '../fakes/records.ts';
import { exampleAdapters } from './example-adapters.ts';

const GOOD = `
name: demo
source: { shelf: { folder: ./estate } }
target: { cloud: { region: north-1 } }
defaults:
  to: { subnet: subnet-1, tags: { team: ops, env: test } }
  proof: { expect: ['login:', 'ready'], deadline: 90s }
machines:
  - name: shop-db
    from: shop-db.ova
    to: { groups: [sg-1], tags: { team: db } }
  - name: shop-web
    from: { path: shop-web.qcow2, firmware: uefi, cpus: 2 }
    to: { groups: [sg-2] }
    proof: { expect: [web], refuse: [panic] }
`;

describe('a good wave file', () => {
  test('becomes a wave with its defaults merged in key by key', () => {
    expect(parse(GOOD)).toEqual({
      ...PLAIN_WAVE,
      name: 'demo',
      file: '/waves/demo.yaml',
      digest: expect.stringMatching(/^[0-9a-f]{64}$/),
      source: { kind: 'shelf', site: null, options: { folder: './estate' } },
      target: { kind: 'cloud', options: { region: 'north-1', prefix: 'landfall/' } },
      limits: { machines: 10, tries: 5 },
      machines: [
        {
          ...PLAIN_PLAN,
          name: 'shop-db',
          from: { path: 'shop-db.ova' },
          to: { subnet: 'subnet-1', groups: ['sg-1'], tags: { team: 'db' } },
          export: 'in-place',
          proof: { expect: ['login:', 'ready'], refuse: [], deadlineSeconds: 90, checks: [] },
        },
        {
          ...PLAIN_PLAN,
          name: 'shop-web',
          from: { path: 'shop-web.qcow2', firmware: 'uefi', cpus: 2 },
          to: { subnet: 'subnet-1', groups: ['sg-2'], tags: { team: 'ops', env: 'test' } },
          export: 'in-place',
          proof: { expect: ['web'], refuse: ['panic'], deadlineSeconds: 90, checks: [] },
        },
      ],
    } satisfies Wave);
  });

  test('expects a login prompt within ten minutes where it says nothing about proof', () => {
    const { machines } = parse(replace("  proof: { expect: ['login:', 'ready'], deadline: 90s }\n", ''));
    expect(machines[0]?.proof).toEqual({ expect: ['login:'], refuse: [], deadlineSeconds: 600, checks: [] });
  });

  test('takes how disks are read from the machine, else from the defaults', () => {
    const text = replace('  proof: { expect', '  export: spool\n  proof: { expect');
    expect(parse(text).machines.map((machine) => machine.export)).toEqual(['spool', 'spool']);
    const own = text.replace(
      '    proof: { expect: [web]',
      '    export: in-place\n    proof: { expect: [web]',
    );
    expect(parse(own).machines.map((machine) => machine.export)).toEqual(['spool', 'in-place']);
  });

  test.each([
    ['10m', 600],
    ['2h', 7200],
    ['1.5m', 90],
    ['45', 45],
  ])('reads the deadline %s as %d seconds', (text, seconds) => {
    expect(parse(replace('deadline: 90s', `deadline: ${text}`)).machines[0]?.proof.deadlineSeconds).toBe(
      seconds,
    );
  });

  test('takes anchors and aliases', () => {
    const text = replace('to: { groups: [sg-2] }', 'to: *db').replace(
      'to: { groups: [sg-1]',
      'to: &db { groups: [sg-1]',
    );
    expect(parse(text).machines[1]?.to).toMatchObject({ groups: ['sg-1'], tags: { team: 'db' } });
  });

  test('keeps references to the environment, also where a text of a certain form is wanted', () => {
    // biome-ignore lint/suspicious/noTemplateCurlyInString: the syntax of references
    const region = '${env:REGION}';
    expect(parse(replace('north-1', `'${region}'`)).target.options).toEqual({ region, prefix: 'landfall/' });
  });

  test('merges limits over their defaults', () => {
    expect(parse(`${GOOD}limits: { machines: 3 }\n`).limits).toEqual({ machines: 3, tries: 5 });
    const limited = parse(`${GOOD}limits: { bandwidth: 400 Mbit/s }\n`);
    expect(limited.limits).toEqual({ machines: 10, tries: 5, bytesPerSecond: 50_000_000 });
  });
});

describe('a bad wave file names line, column, place and remedy', () => {
  test.each<[string, string, string]>([
    [
      'an unknown key of the wave',
      replace('machines:', 'machine:'),
      'demo.yaml:8:1: machine is an unknown key. Did you mean `machines`',
    ],
    [
      'an unknown key of the target',
      replace('to: { groups: [sg-2] }', 'to: { group: [sg-2] }'),
      'demo.yaml:14:11: machines[1].to.group is an unknown key. Did you mean `groups`?',
    ],
    [
      'an unknown key that is like no other',
      replace('to: { groups: [sg-2] }', 'to: { colour: red }'),
      'demo.yaml:14:11: machines[1].to.colour is an unknown key. Known here: subnet, groups, tags, size.',
    ],
    [
      'an unknown key in a choice of forms',
      replace('to: { groups: [sg-2] }', 'to: { size: { cpu: 2, cpus: 2 } }'),
      'demo.yaml:14:19: machines[1].to.size.cpu is an unknown key. Did you mean `cpus`?',
    ],
    [
      'a merge key',
      replace('to: { groups: [sg-2] }', 'to: { <<: { subnet: subnet-2 } }'),
      'demo.yaml:14:11: machines[1].to.<< is an unknown key. Known here: subnet, groups, tags, size.',
    ],
    [
      'a key that would change objects',
      replace('to: { groups: [sg-2] }', 'to: { __proto__: { subnet: subnet-2 } }'),
      'demo.yaml:14:11: machines[1].to.__proto__ is an unknown key. Known here: subnet, groups, tags, size.',
    ],
    [
      'a bad value in the defaults, once',
      replace('subnet: subnet-1', 'subnet: vpc-1'),
      'demo.yaml:6:17: defaults.to.subnet is not the id of a subnet.',
    ],
    [
      'a bad value with the form of another wanted text',
      replace('north-1', 'North'),
      'demo.yaml:4:28: target.cloud.region is not the name of a region.',
    ],
    [
      'a missing option',
      replace('{ region: north-1 }', '{}'),
      'demo.yaml:4:18: target.cloud.region is missing. Region.',
    ],
    [
      'a number where a text is wanted',
      replace('name: demo', 'name: 2024'),
      'demo.yaml:2:7: name must be a text, not a number. Put it in quotes.',
    ],
    [
      'a text with a colon and no quotes',
      replace("['login:', 'ready']", '[login:, ready]'),
      'demo.yaml:7:21: defaults.proof.expect[0] must be a text, not a map. A text that holds a colon or brackets needs quotes.',
    ],
    [
      'a name that would not do everywhere',
      replace('name: shop-web', 'name: shop.web'),
      'demo.yaml:12:11: machines[1].name must be 1 to 63 letters, digits, - or _ that begin with a letter or digit, because it becomes part of tags, file names and object keys.',
    ],
    [
      'two machines of one name',
      replace('name: shop-web', 'name: Shop-DB'),
      'demo.yaml:12:11: machines[1].name is "Shop-DB", as is machines[0].name in line 9. Give each machine a name of its own.',
    ],
    [
      'a pattern that is no regular expression',
      replace('expect: [web]', "expect: ['(web']"),
      'demo.yaml:15:23: machines[1].proof.expect[0] is not a regular expression: Unterminated group.',
    ],
    [
      'a choice that is near another',
      replace('firmware: uefi', 'firmware: uefl'),
      'demo.yaml:13:45: machines[1].from.firmware must be one of bios, uefi. Did you mean `uefi`?',
    ],
    [
      'a deadline without a unit that we know',
      replace('deadline: 90s', 'deadline: 3 days'),
      'demo.yaml:7:51: defaults.proof.deadline must be a duration such as 90s, 10m or 2h, or a number of seconds.',
    ],
    [
      'a deadline of nothing',
      replace('deadline: 90s', 'deadline: 0s'),
      'demo.yaml:7:51: defaults.proof.deadline must be between one second and seven days.',
    ],
    [
      'an empty value',
      replace('to: { groups: [sg-2] }', 'to:'),
      'demo.yaml:14:8: machines[1].to is empty. Give it a value, or remove the line.',
    ],
    [
      'an empty list',
      replace('groups: [sg-2]', 'groups: []'),
      'demo.yaml:14:19: machines[1].to.groups must have at least 1 entry.',
    ],
    [
      'a source that we do not know',
      replace('shelf:', 'shelv:'),
      'demo.yaml:3:11: source.shelv is no source that Landfall knows. Did you mean `shelf`?',
    ],
    [
      'two targets',
      replace('{ cloud: {', '{ fog: {}, cloud: {'),
      'demo.yaml:4:9: target names more than one vendor (fog, cloud). Name one of: cloud.',
    ],
    [
      'no source',
      replace('{ shelf: { folder: ./estate } }', '{}'),
      'demo.yaml:3:9: source names no vendor. Name one of: shelf, hypervisor.',
    ],
    [
      'a reference that no variable can have',
      // biome-ignore lint/suspicious/noTemplateCurlyInString: the syntax of references
      replace('./estate', "'${env:my-folder}'"),
      // biome-ignore lint/suspicious/noTemplateCurlyInString: the syntax of references
      'demo.yaml:3:28: source.shelf.folder refers to ${env:my-folder}, which no environment variable can be named. Use letters, digits and _.',
    ],
    [
      'a key given twice',
      replace('name: demo', 'name: demo\nname: other'),
      'demo.yaml:3:1: the key `name` is given twice. Remove one of them.',
    ],
    [
      'a second document',
      `${GOOD}---\nname: other\n`,
      'demo.yaml:16:1: the file holds a second YAML document. A wave file describes one wave: remove the line `---` and what follows.',
    ],
    [
      'a tab as indentation',
      replace('    to: { groups: [sg-2] }', '\tto: { groups: [sg-2] }'),
      'demo.yaml:14:1: ',
    ],
    ['an open bracket', replace('groups: [sg-2] }', 'groups: [sg-2 }'), 'demo.yaml:14:'],
    [
      'no map at all',
      'just text\n',
      'demo.yaml:1:1: the file holds no wave. Begin with `name:`, `source:`, `target:` and `machines:`.',
    ],
    [
      'nothing',
      '',
      'demo.yaml:1:1: the file holds no wave. Begin with `name:`, `source:`, `target:` and `machines:`.',
    ],
  ])('%s', (_, text, message) => {
    const error = refusal(text);
    expect(error.code).toBe('wave-invalid');
    if (/^demo.*[.?]$/.test(message)) expect(error.message).toBe(message);
    else expect(error.message).toContain(message);
  });

  test('all problems at once, in the order of the file, with the first one for machines', () => {
    const text = replace('name: demo', 'name: ""').replace('cpus: 2', 'cpus: 0').replace('[panic]', '["["]');
    const error = refusal(text);
    expect(error.message.split('\n').map((line) => line.split(' ')[0])).toEqual([
      'demo.yaml:2:7:',
      'demo.yaml:13:57:',
      'demo.yaml:15:38:',
    ]);
    expect(error.context).toEqual({ file: 'demo.yaml', line: 2, column: 7, problems: 3 });
  });

  test('a bad default is told once, however many machines inherit it', () => {
    expect(refusal(replace('tags: { team: ops', 'tags: { team: 1')).message.split('\n')).toHaveLength(1);
  });

  test('never shows what an adapter was given, which may be a secret', () => {
    const text = replace(
      '{ shelf: { folder: ./estate } }',
      '{ hypervisor: { url: hunter2, password: 31337 } }',
    );
    const { message } = refusal(text.replaceAll(/from: .*/g, 'from: { domain: a }'));
    expect(message).toContain('source.hypervisor.url must be a URL');
    expect(message).not.toContain('hunter2');
    expect(message).not.toContain('31337');
  });
});

describe('a hostile wave file', () => {
  test('is refused when its aliases would grow to gigabytes', () => {
    const layers = Array.from({ length: 12 }, (_, i) => `l${i + 1}: &l${i + 1} [${`*l${i},`.repeat(10)}]`);
    expect(refusal(`l0: &l0 [x, x]\n${layers.join('\n')}\n`).message).toContain(
      'aliases (`*name`) are used too often',
    );
  });

  test('is refused when an alias stands inside its own anchor', () => {
    expect(refusal(`${GOOD}extra: &self { again: *self }\n`).message).toContain(
      'stands inside its own anchor',
    );
  });

  test('is refused when it is nested too deeply to be read', () => {
    expect(refusal(`name: ${'['.repeat(100_000)}`).code).toBe('wave-invalid');
  });

  test('shows no more than fifty of its problems', () => {
    const machines = Array.from({ length: 200 }, (_, i) => `  - { name: m${i}, from: x, to: {}, k${i}: 1 }`);
    const lines = refusal(`${GOOD}${machines.join('\n')}\n`).message.split('\n');
    expect(lines).toHaveLength(51);
    expect(lines.at(-1)).toBe('demo.yaml: and 150 more problems');
  });
});

function parse(text: string): Wave {
  return parseWave({ file: 'demo.yaml', path: '/waves/demo.yaml', text, adapters: exampleAdapters });
}

/** The good file with one thing changed. */
function replace(from: string, to: string): string {
  if (!GOOD.includes(from)) throw new Error(`the example does not hold ${from}`);
  return GOOD.replace(from, () => to);
}

function refusal(text: string): LandfallError {
  try {
    parse(text);
  } catch (error) {
    if (error instanceof LandfallError) return error;
    throw error;
  }
  throw new Error('the wave file was accepted');
}
