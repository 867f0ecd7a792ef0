/** What a wave comes to once its source was asked. */
import { describe, expect, it } from 'vitest';
import type { Machine } from '../../src/domain/machine.ts';
import type { Source, Target } from '../../src/domain/ports.ts';
import type { Wave, WaveMachine } from '../../src/domain/wave.ts';
import { type Plan, planWave } from '../../src/operations/plan.ts';
import { makeMachine, makePlan, makeWave } from '../fakes/records.ts';

const live = new AbortController().signal;
const target = {
  capabilities: { containers: ['raw'], maxDiskBytes: 2 ** 40, maxDisks: 8, firmware: ['bios', 'uefi'] },
  uploadForm: () => ({ kind: 'blocks', blockBytes: 2 ** 19 }),
  preflight: async () => [],
} as unknown as Target;

/** A source with these machines; `from: { name: 'web*' }` selects by the beginning. */
function sourceOf(names: readonly string[], isControlled = true): Source {
  const machines = async ({ name }: { name?: unknown }): Promise<Machine[]> => {
    const wanted = String(name);
    const isMeant = (each: string): boolean =>
      wanted.endsWith('*') ? each.startsWith(wanted.slice(0, -1)) : each === wanted;
    return names.filter(isMeant).map((each) => makeMachine(each, each === 'old-empty' ? 0 : 1));
  };
  return { machines, ...(isControlled && { control: {} }) } as unknown as Source;
}

function entry(name: string | null, from: string, more: Partial<WaveMachine> = {}): WaveMachine {
  const selection = name === null ? { name: 'machines[0]', selectsMany: true } : { name };
  return { ...makePlan(''), ...selection, from: { name: from }, ...more };
}

async function plan(
  machines: readonly WaveMachine[],
  more: Partial<Wave> = {},
  isControlled = true,
): Promise<Plan> {
  const wave = { ...makeWave('w', []), machines, ...more };
  const source = sourceOf(['db', 'web-1', 'web-2', 'web 3', 'old-1', 'old-empty'], isControlled);
  return await planWave(wave, { source, target, stagingFolder: '/nowhere', resolve: (each) => each }, live);
}

const failures = ({ findings }: Plan): string[] =>
  findings.filter(({ level }) => level === 'fail').map(({ subject, message }) => `${subject} ${message}`);

describe('an entry without a name', () => {
  it('stands for every machine that it selects, but for those that have an entry of their own', async () => {
    const planned = await plan([
      entry('front', 'web-1', { export: 'spool' }),
      entry(null, 'web-*'),
      entry('db', 'db'),
    ]);
    expect(planned.wave.machines.map(({ name, export: mode }) => `${name} ${mode}`)).toEqual([
      'front spool',
      'web-2 in-place',
      'db in-place',
    ]);
    expect(planned.wave.machines.some(({ selectsMany }) => selectsMany)).toBe(false);
    expect(planned.machines.map(({ machine }) => machine.name)).toEqual(['front', 'web-2', 'db']);
  });

  it('leaves out what it excepts, and warns of an exception that fits nothing', async () => {
    const planned = await plan([entry(null, 'web-*', { except: ['*-2', 'wbe*'] })]);
    expect(planned.machines.map(({ machine }) => machine.name)).toEqual(['web-1']);
    expect(planned.wave.machines[0]).not.toHaveProperty('except');
    expect(planned.findings).toContainEqual(
      expect.objectContaining({
        level: 'warn',
        message: expect.stringContaining('"wbe*", which fits no machine'),
      }),
    );
  });

  it('names the machine without disks that it selects, which `except` leaves out', async () => {
    expect(failures(await plan([entry(null, 'old-*')]))).toEqual([
      'old-empty has no disk: there is nothing to migrate',
    ]);
    const planned = await plan([entry(null, 'old-*', { except: ['old-empty'] })]);
    expect(failures(planned)).toEqual([]);
    expect(planned.machines.map(({ machine }) => machine.name)).toEqual(['old-1']);
  });

  it('is refused where it selects nothing, or a machine whose name no machine of a wave can have', async () => {
    expect(failures(await plan([entry(null, 'nothing*')]))).toEqual([
      expect.stringContaining('machines[0] {"name":"nothing*"} selects no machine'),
    ]);
    expect(failures(await plan([entry(null, 'web*')]))).toEqual([
      expect.stringContaining('web 3 has a name that no machine of a wave can have'),
    ]);
  });

  it('is refused where its machine has the name of a group: `after` could not tell them apart', async () => {
    const groups = { 'web-2': { stopAfter: null } };
    const planned = await plan([entry('db', 'db', { group: 'web-2' }), entry(null, 'web-*')], { groups });
    expect(failures(planned)).toEqual([expect.stringContaining('web-2 has the name of another machine, or')]);
  });

  it('is refused where its machine has the name of another one', async () => {
    expect(failures(await plan([entry('web-2', 'db'), entry(null, 'web-*')]))).toEqual([
      expect.stringContaining('web-2 has the name of another machine'),
    ]);
  });
});

describe('the order of machines that a selection brought', () => {
  it('is checked when they are known', async () => {
    expect(failures(await plan([entry('db', 'db', { after: ['web-1'] }), entry(null, 'web-*')]))).toEqual([]);
    expect(failures(await plan([entry('db', 'db', { after: ['web-9'] }), entry(null, 'web-*')]))).toEqual([
      expect.stringContaining('db comes after web-9'),
    ]);
    const groups = { rest: { stopAfter: null } };
    expect(
      failures(await plan([entry('db', 'db', { after: ['rest'] }), entry(null, 'web-*')], { groups })),
    ).toEqual([expect.stringContaining('db comes after group rest, which has no machine')]);
    const circle = [entry('db', 'db', { after: ['web-1'] }), entry(null, 'web-*', { after: ['db'] })];
    expect(failures(await plan(circle))).toEqual([expect.stringContaining('db → web-1 → db')]);
  });
});

describe('a window', () => {
  const window = { kind: 'once', timezone: 'UTC', rollbackSeconds: 60 } as const;

  it('that is over is refused', async () => {
    const past = { ...window, opens: '2020-01-01T22:00', closes: '2020-01-02T04:00' };
    expect(failures(await plan([entry('db', 'db')], { window: past }))).toEqual([
      expect.stringContaining('window closed at 2020-01-02T04:00 (UTC)'),
    ]);
  });

  it('that is to come is told in its own zone', async () => {
    const next = { ...window, opens: '2999-01-01T22:00', closes: '2999-01-02T04:00' };
    const { findings } = await plan([entry('db', 'db')], { window: next });
    expect(findings).toContainEqual({
      level: 'ok',
      subject: 'window',
      message: expect.stringMatching(/^opens \w+ 2999-01-01 22:00 UTC, closes \w+ 2999-01-02 04:00 UTC$/),
      remedy: null,
    });
  });
});

const warnings = ({ findings }: Plan): string[] =>
  findings.filter(({ level }) => level === 'warn').map(({ subject, message }) => `${subject}: ${message}`);

describe('hooks and notices', () => {
  const rest = { timeoutSeconds: 5, onFailure: 'fail' } as const;
  const command = { kind: 'command', command: ['true'], ...rest } as const;
  const call = {
    ...({ kind: 'http', at: 'before-import', method: 'POST', body: null, ...rest } as const),
    url: `https://\${env:LANDFALL_TEST_UNSET}/drain`,
    headers: { authorization: `Bearer \${env:LANDFALL_TEST_EMPTY}` },
  };

  it('of a shutdown are warned of where the source turns no machine off', async () => {
    const hooks = [
      { ...command, at: 'before-shutdown' },
      { ...command, at: 'after-landing' },
    ] as const;
    expect(warnings(await plan([entry('db', 'db', { hooks })], {}, false))).toEqual([
      'db: its hooks before-shutdown never run: this source turns no machine off',
    ]);
    expect(warnings(await plan([entry('db', 'db', { hooks })]))).toEqual([]);
  });

  it('that refer to variables which are not set here are warned of, each by its name', async () => {
    process.env.LANDFALL_TEST_EMPTY = '';
    const url = `\${env:LANDFALL_TEST_CHAT}`;
    const notify = [{ kind: 'webhook', url, on: ['failed'] }] as const;
    expect(warnings(await plan([entry('db', 'db', { hooks: [call] })], { notify }))).toEqual([
      expect.stringContaining('db: its hooks refer to LANDFALL_TEST_UNSET, LANDFALL_TEST_EMPTY, not set'),
      expect.stringContaining('notify: a webhook is given by LANDFALL_TEST_CHAT, not set'),
    ]);
    process.env.LANDFALL_TEST_CHAT = 'https://chat.example/x';
    expect(warnings(await plan([entry('db', 'db')], { notify }))).toEqual([]);
    delete process.env.LANDFALL_TEST_CHAT;
    delete process.env.LANDFALL_TEST_EMPTY;
  });
});
