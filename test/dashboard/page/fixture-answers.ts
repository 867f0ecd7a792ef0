/** What the made-up server answers beyond runs: machines, workers, actions, logins. null: nothing of it. */
import { deedSchema, type Outcome, type Preview } from '../../../src/dashboard/api/action.ts';
import type { MachineLine, RunSummary } from '../../../src/dashboard/api/run.ts';
import { type Session, sessionSchema } from '../../../src/dashboard/api/session.ts';
import { poolActionSchema } from '../../../src/dashboard/api/workers.ts';
import { cutConsole, makeConsole, makeScreenshot } from './fixture-guest.ts';
import { makeDiskMap, makeEvents, makeMachineDetail } from './fixture-machine.ts';
import { makeAudit, makeWorkers } from './fixture-workers.ts';

export type Answer = { status: number; body: unknown; png?: Buffer };
export type Asked = {
  url: URL;
  body: unknown;
  runs: readonly RunSummary[];
  machines: readonly MachineLine[];
  now: number;
  tick: number;
};

const TOKEN = 'open sesame';
const NAMES = { viewer: 'vera', operator: 'otto', approver: 'ada' } as const;

const consoleText = makeConsole(120_000);
const screenshot = makeScreenshot();
const paused = new Set<string>();
const concurrency = new Map<string, number>();
let failedLogins = 0;

/** `role` of who looks: the environment's ROLE; LOGIN=tokens or oidc wants a login. */
let session: Session = sessionSchema.parse({
  user: wantsLogin() ? null : { name: nameOf(), role: process.env.ROLE ?? 'approver' },
  login: process.env.LOGIN ?? 'none',
  version: '0.1.0',
});

export function answerMore(asked: Asked): Answer | null {
  const { url, body, runs, machines, now } = asked;
  const [, , room, id, what, machine, part, disk] = url.pathname.split('/').map(decodeURIComponent);
  if (room === 'session') return ok(session);
  if (room === 'login') return logIn(body);
  if (room === 'logout') {
    if (session.login !== 'none') session = { ...session, user: null };
    return ok(session);
  }
  if (room === 'workers') return ok(makeWorkers(now, paused, concurrency));
  if (room === 'pools') return setPool(body);
  if (room === 'audit') return ok(makeAudit(now));
  const run = runs.find((each) => each.id === id);
  if (room !== 'runs' || run === undefined) return null;
  if (what === 'events') {
    const of = url.searchParams.get('machine') ?? 'shop-001';
    const events = makeEvents(run.id, of).filter(
      ({ type }) => url.searchParams.get('kind') !== 'audit' || type === 'operator',
    );
    return ok({
      events,
      hasMore: url.searchParams.get('before') === null && url.searchParams.get('kind') === null,
    });
  }
  if (what === 'preview') return ok(preview(body, machines));
  if (what === 'actions') return ok(act(body));
  const line = machines.find(({ name }) => name === machine);
  if (what !== 'machines' || line === undefined) return null;
  if (part === undefined) return ok({ ...makeMachineDetail(run, line), now });
  if (part === 'console') return ok(consoleOf(asked));
  if (part === 'screenshot') return { status: 200, body: null, png: screenshot };
  if (part === 'disks' && disk !== undefined)
    return ok(makeDiskMap(disk, disk === 'vdb' ? 1 : (asked.tick % 200) / 200));
  return null;
}

function consoleOf({ url, tick }: Asked): unknown {
  const grown = `${consoleText}\n${Array.from({ length: tick }, (_, index) => `live line ${index}`).join('\n')}`;
  const offset = url.searchParams.get('offset');
  return cutConsole(grown, offset === null ? null : Number(offset), true);
}

function preview(body: unknown, machines: readonly MachineLine[]): Preview {
  const { action, on } = deedSchema.partial({ reason: true }).parse(body);
  const names =
    on.kind === 'machines'
      ? on.names
      : machines.filter(({ isTroubled }) => isTroubled).map(({ name }) => name);
  const isGrave = ['rollback', 'commit', 'cleanup', 'approve', 'cutover', 'cancel'].includes(action);
  return {
    consequences: [
      isGrave
        ? `${names.length} machines: what was made of them at the target is deleted.`
        : `${names.length} machines go on from the step that failed.`,
      'Their sources run again, as when they were shut down.',
      'Windows do not wait.',
    ],
    machines: on.kind === 'run' ? [] : names,
    refusal: action === 'cleanup' ? 'Nothing is to be cleaned up: see `landfall leftovers weekend-1`.' : null,
    isReversible: !isGrave,
  };
}

function act(body: unknown): Outcome {
  const { action, reason } = deedSchema.parse(body);
  return { message: `${action} is done, because: ${reason}`, changed: ['shop-001'] };
}

function setPool(body: unknown): Answer {
  const { pool, site, change } = poolActionSchema.parse(body);
  const name = site === null ? pool : `${pool}.${site}`;
  if (change.kind === 'concurrency') {
    if (change.value === null) concurrency.delete(name);
    else concurrency.set(name, change.value);
  } else if (change.kind === 'pause') paused.add(name);
  else paused.delete(name);
  return ok({ message: `Pool ${name}: ${change.kind} is done.`, changed: [name] });
}

function logIn(body: unknown): Answer {
  const token = typeof body === 'object' && body !== null && 'token' in body ? body.token : null;
  if (failedLogins >= 3)
    return refused(429, 'too-many-logins', 'Too many logins failed from there. Try again in a minute.');
  if (token !== TOKEN) {
    failedLogins += 1;
    return refused(
      401,
      'login-refused',
      'This token is not known here, or not any more. `landfall token NAME --role ROLE` makes one.',
    );
  }
  session = { ...session, user: { name: nameOf(), role: sessionRole() } };
  return ok(session);
}

function ok(body: unknown): Answer {
  return { status: 200, body };
}

function refused(status: number, code: string, message: string): Answer {
  return { status, body: { error: { code, message } } };
}

function sessionRole(): keyof typeof NAMES {
  const role = process.env.ROLE;
  return role === 'viewer' || role === 'operator' ? role : 'approver';
}

function nameOf(): string {
  return NAMES[sessionRole()];
}

function wantsLogin(): boolean {
  return process.env.LOGIN === 'tokens' || process.env.LOGIN === 'oidc';
}
