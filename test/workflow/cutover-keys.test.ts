/** What a wave file says of cutovers. */
import { describe, expect, test } from 'vitest';
import { LandfallError } from '../../src/domain/errors.ts';
import type { Wave } from '../../src/domain/wave.ts';
import { parseWave } from '../../src/workflow/parse-wave.ts';
import { exampleAdapters } from './example-adapters.ts';

const GOOD = `
name: weekend
source: { shelf: { folder: ./estate, site: dc1 } }
target: { cloud: { region: north-1 } }
window: { opens: '2026-11-28T22:00', closes: '2026-11-29T04:00', timezone: Europe/Berlin, rollback: 20m }
approval: required
onOverrun: finish
groups:
  web: { after: [db], stopAfter: 10% }
  odd: { stopAfter: 2 }
limits: { machines: 40, perHost: 4 }
notify:
  - { webhook: 'https://chat.example/hook', on: [failed, held] }
  - { mail: [ops@example.com], smtp: 'smtp://mail.example:25', from: landfall@example.com }
defaults:
  onFailure: rollback
  shutdown: { grace: 90s }
  hooks: [{ at: before-shutdown, command: [/usr/bin/drain, now] }]
machines:
  - { name: db, from: db.ova }
  - name: app
    from: app.ova
    group: web
    after: [db]
    onFailure: hold
    shutdown: { force: true }
    proof: { checks: [{ tcp: 443 }, { tcp: 'db.example:5432' }, { http: 'http://{address}/health', status: 204 }, { command: [/bin/true] }] }
    hooks: [{ at: after-landing, http: 'https://cmdb.example/landed', timeout: 30s, onFailure: warn }]
  - { from: { path: 'folder' }, group: odd }
`;

describe('a wave with cutovers', () => {
  test('says when, and who must agree', () => {
    const { window, isApprovalRequired, onOverrun, source, limits } = parse(GOOD);
    expect(window).toEqual({
      kind: 'once',
      timezone: 'Europe/Berlin',
      rollbackSeconds: 1200,
      opens: '2026-11-28T22:00',
      closes: '2026-11-29T04:00',
    });
    expect({ isApprovalRequired, onOverrun }).toEqual({ isApprovalRequired: true, onOverrun: 'finish' });
    expect(source).toEqual({ kind: 'shelf', site: 'dc1', options: { folder: './estate' } });
    expect(limits).toMatchObject({ machines: 40, machinesPerHost: 4 });
  });

  test('may open every week', () => {
    const text = withWindow(
      "{ every: [saturday, sunday], at: '22:00', for: 6h, except: ['2026-12-26'], timezone: UTC }",
    );
    expect(parse(text).window).toEqual({
      kind: 'weekly',
      timezone: 'UTC',
      rollbackSeconds: 600,
      weekdays: [6, 7],
      at: '22:00',
      lengthSeconds: 21_600,
      except: ['2026-12-26'],
    });
  });

  test.each([
    ['', { isApprovalRequired: false, isApprovalByAnother: false }],
    ['approval: required\n', { isApprovalRequired: true, isApprovalByAnother: false }],
    ['approval: by-another\n', { isApprovalRequired: true, isApprovalByAnother: true }],
  ])('reads who must approve from %j', (text, expected) => {
    expect(parse(GOOD.replace('approval: required\n', text))).toMatchObject(expected);
  });

  test('gives machines their order, the group of each included', () => {
    const { machines, groups } = parse(GOOD.replace('after: [db]\n', 'after: []\n'));
    expect(machines.map(({ group, after }) => ({ group, after }))).toEqual([
      { group: null, after: [] },
      { group: 'web', after: ['db'] },
      { group: 'odd', after: [] },
    ]);
    expect(groups).toEqual({ web: { stopAfter: { percent: 10 } }, odd: { stopAfter: { failures: 2 } } });
  });

  test('merges what holds for all into each machine', () => {
    const [db, app, many] = parse(GOOD).machines;
    expect(db).toMatchObject({
      onFailure: 'rollback',
      shutdown: { graceSeconds: 90, force: false },
      hooks: [
        { at: 'before-shutdown', kind: 'command', command: ['/usr/bin/drain', 'now'], timeoutSeconds: 300 },
      ],
    });
    expect(app).toMatchObject({
      onFailure: 'hold',
      shutdown: { graceSeconds: 90, force: true },
      hooks: [{ at: 'after-landing', kind: 'http', method: 'POST', timeoutSeconds: 30, onFailure: 'warn' }],
      proof: {
        checks: [
          { kind: 'tcp', host: '{address}', port: 443 },
          { kind: 'tcp', host: 'db.example', port: 5432 },
          { kind: 'http', url: 'http://{address}/health', status: 204 },
          { kind: 'command', command: ['/bin/true'] },
        ],
      },
    });
    expect(many).toMatchObject({ name: 'machines[2]', selectsMany: true });
  });

  test('may send more by night', () => {
    const text = GOOD.replace(
      'perHost: 4',
      "perHost: 4, bandwidth: [{ from: '08:00', to: '18:00', rate: 50 MB/s }, { from: '18:00', to: '08:00', rate: 1 GB/s }]",
    );
    expect(parse(text).limits.bandwidthPlan).toEqual({
      timezone: 'Europe/Berlin',
      spans: [
        { fromMinute: 480, toMinute: 1080, bytesPerSecond: 50e6 },
        { fromMinute: 1080, toMinute: 480, bytesPerSecond: 1e9 },
      ],
    });
  });

  test('tells who is told of what', () => {
    expect(parse(GOOD).notify).toMatchObject([
      { kind: 'webhook', url: 'https://chat.example/hook', on: ['failed', 'held'] },
      { kind: 'mail', to: ['ops@example.com'], on: expect.arrayContaining(['landed', 'window-at-risk']) },
    ]);
  });
});

describe('a bad one names line, column, place and remedy', () => {
  test.each<[string, string, string]>([
    [
      'a zone that does not exist',
      withWindow("{ every: saturday, at: '22:00', for: 6h, timezone: Europe/Berlim }"),
      'window.timezone is no time zone: Europe/Berlim. Did you mean Europe/Berlin?',
    ],
    [
      'a zone of which only the city is right',
      withWindow("{ every: saturday, at: '22:00', for: 6h, timezone: CET/Berlin }"),
      'Did you mean Europe/Berlin?',
    ],
    [
      'hours that overlap',
      GOOD.replace(
        'perHost: 4',
        "perHost: 4, bandwidth: [{ from: '08:00', to: '18:00', rate: 50 MB/s }, { from: '17:00', to: '20:00', rate: 1 GB/s }]",
      ),
      'limits.bandwidth[1] has hours in common with bandwidth[0]',
    ],
    [
      'a window that closes before it opens',
      GOOD.replace('2026-11-29T04:00', '2026-11-27T04:00'),
      'window.closes is not after `opens`',
    ],
    [
      'a window in the hour that a spring night skips',
      GOOD.replace('2026-11-28T22:00', '2027-03-28T02:30').replace('2026-11-29T04:00', '2027-03-28T03:15'),
      'window.closes is not after `opens` in Europe/Berlin',
    ],
    [
      'a window in which nothing could begin',
      withWindow("{ every: saturday, at: '22:00', for: 10m, timezone: UTC }").replace(
        'onOverrun: finish',
        'onOverrun: rollback',
      ),
      'window is open no longer than a rollback takes (10 min 00 s): nothing could begin in it',
    ],
    [
      'a day without window that does not exist',
      withWindow(
        "{ every: saturday, at: '22:00', for: 6h, timezone: UTC, except: ['2026-12-26', '2026-02-30'] }",
      ),
      'window.except has no date: 2026-02-30',
    ],
    [
      'a group to come after in which there is no machine',
      GOOD.replace('after: [db]\n', 'after: [odd]\n').replace(
        "  - { from: { path: 'folder' }, group: odd }\n",
        '',
      ),
      'names group odd, which has no machine',
    ],
    [
      'a day that does not exist',
      GOOD.replace('2026-11-28T22:00', '2026-02-30T22:00'),
      'window.opens is no date: 2026-02-30T22:00',
    ],
    [
      'a window that overlaps with its next',
      withWindow("{ every: [friday, saturday], at: '22:00', for: 30h, timezone: UTC }"),
      'window.for is longer than the time until the window opens again',
    ],
    ['a window of no form', withWindow('{ timezone: UTC }'), 'window says when it opens in no one way'],
    [
      'machines that wait for each other',
      GOOD.replace('{ name: db, from: db.ova }', '{ name: db, from: db.ova, after: [web] }').replace(
        "  - { from: { path: 'folder' }, group: odd }\n",
        '',
      ),
      'waits for itself: db → web → app → db',
    ],
    [
      'a machine that is not there',
      GOOD.replace('after: [db]\n', 'after: [dbb]\n').replace(
        "  - { from: { path: 'folder' }, group: odd }\n",
        '',
      ),
      'machines[1].after names dbb, which this wave does not have. Did you mean `db`?',
    ],
    [
      'a group that is not there',
      GOOD.replace('group: web', 'group: wep'),
      'machines[1].group is no group of this wave: wep. Did you mean `web`?',
    ],
    [
      'a group with the name of a machine',
      GOOD.replace('  odd: {', '  db: {').replace('group: odd', 'group: db'),
      'groups.db is "db", as is a machine',
    ],
    [
      'a hook that does nothing',
      GOOD.replace('command: [/usr/bin/drain, now]', 'timeout: 5s'),
      'give either `command` or `http`',
    ],
    [
      'a hook at no moment',
      GOOD.replace('at: before-shutdown', 'at: before-shutdwn'),
      'Did you mean `before-shutdown`?',
    ],
    [
      'a check of two kinds',
      GOOD.replace('{ tcp: 443 }', "{ tcp: 443, http: 'http://x' }"),
      'give exactly one of `tcp`, `http` and `command`',
    ],
    [
      'a mail without a server',
      GOOD.replace("smtp: 'smtp://mail.example:25', ", ''),
      '`mail` needs `smtp` and `from`',
    ],
    [
      'a share of more than all',
      GOOD.replace('10%', '110%'),
      "must be a number of machines, or a share such as '10%'",
    ],
  ])('%s', (_, text, said) => {
    expect(refusal(text).message).toMatch(/^[\s\S]*weekend\.yaml:\d+:\d+: /);
    expect(refusal(text).message).toContain(said);
  });
});

function parse(text: string): Wave {
  return parseWave({ file: 'weekend.yaml', path: '/waves/weekend.yaml', text, adapters: exampleAdapters });
}

function withWindow(window: string): string {
  return GOOD.replace(/^window: .*$/m, `window: ${window}`);
}

function refusal(text: string): LandfallError {
  try {
    parse(text);
  } catch (error) {
    if (error instanceof LandfallError) return error;
    throw error;
  }
  throw new Error('the file was taken');
}
