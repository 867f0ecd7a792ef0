/** Every request that the page makes. Paths are the server's (`/api/openapi.json` has them all). */
import type { Action, Deed, Outcome, Preview } from '../../api/action.ts';
import type { AuditList } from '../../api/audit.ts';
import type { ConsoleText, DiskMap, MachineDetail, ShownEvent } from '../../api/machine.ts';
import type { RunDetail, RunList, Throughput } from '../../api/run.ts';
import type { Session } from '../../api/session.ts';
import type { PoolAction, Workers } from '../../api/workers.ts';
import { setServerNow } from './clock.ts';
import { RequestProblem, readProblem } from './problem.ts';

type Events = { events: ShownEvent[]; hasMore: boolean };
type OfMachine = { run: string; machine: string };
type EventsWanted = {
  run: string;
  machine?: string;
  /** `audit`: who did what, and what came of it. */
  kind?: 'audit';
  before?: string;
  limit?: number;
};

/** Longer than a server waits for a Redis that is away. */
const TIMEOUT_MS = 20_000;

export const api = {
  session: (signal?: AbortSignal) => get<Session>('/api/session', signal),
  logIn: (token: string) => post<Session>('/api/login', { token }),
  logOut: () => post<unknown>('/api/logout', {}),

  runs: (signal?: AbortSignal) => get<RunList>('/api/runs', signal),
  run: (run: string, signal?: AbortSignal) => get<RunDetail>(`/api/runs/${part(run)}`, signal),
  throughput: (run: string, signal?: AbortSignal) =>
    get<Throughput>(`/api/runs/${part(run)}/throughput`, signal),
  /** Oldest first; `before` an event's id: the ones before it. */
  events: ({ run, ...rest }: EventsWanted, signal?: AbortSignal) =>
    get<Events>(`/api/runs/${part(run)}/events${query(rest)}`, signal),
  /** What is of no run, oldest first. */
  audit: (of: { before?: string; limit?: number }, signal?: AbortSignal) =>
    get<AuditList>(`/api/audit${query(of)}`, signal),

  machine: (of: OfMachine, signal?: AbortSignal) => get<MachineDetail>(machinePath(of), signal),
  diskMap: (of: OfMachine & { disk: string }, signal?: AbortSignal) =>
    get<DiskMap>(`${machinePath(of)}/disks/${part(of.disk)}/map`, signal),
  /** Without an offset: its end. */
  console: ({ offset, ...of }: OfMachine & { offset?: number }, signal?: AbortSignal) =>
    get<ConsoleText>(`${machinePath(of)}/console${query({ offset })}`, signal),
  /** For an <img>. `fresh` makes the address of a newer picture differ. */
  screenshotPath: (of: OfMachine & { fresh?: number }) =>
    `${machinePath(of)}/screenshot${of.fresh === undefined ? '' : `?fresh=${of.fresh}`}`,

  workers: (signal?: AbortSignal) => get<Workers>('/api/workers', signal),
  setPool: (action: PoolAction) => post<Outcome>('/api/pools', action),

  preview: (run: string, action: Action, signal?: AbortSignal) =>
    post<Preview>(`/api/runs/${part(run)}/preview`, action, signal),
  act: (run: string, deed: Deed) => post<Outcome>(`/api/runs/${part(run)}/actions`, deed),
} as const;

function machinePath({ run, machine }: OfMachine): string {
  return `/api/runs/${part(run)}/machines/${part(machine)}`;
}

const part = encodeURIComponent;

function query(of: Readonly<Record<string, string | number | undefined>>): string {
  const given = Object.entries(of).filter(([, value]) => value !== undefined);
  const text = new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString();
  return text === '' ? '' : `?${text}`;
}

function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  return request<T>(path, { method: 'GET' }, signal);
}

function post<T>(path: string, body: unknown, signal?: AbortSignal): Promise<T> {
  const headers = { 'content-type': 'application/json' };
  return request<T>(path, { method: 'POST', headers, body: JSON.stringify(body) }, signal);
}

/** Fails with `RequestProblem`, or with `AbortError` where the caller's signal ended it. */
async function request<T>(path: string, init: RequestInit, signal?: AbortSignal): Promise<T> {
  const timeout = AbortSignal.timeout(TIMEOUT_MS);
  let response: Response;
  try {
    response = await fetch(path, {
      ...init,
      credentials: 'same-origin',
      signal: signal === undefined ? timeout : AbortSignal.any([signal, timeout]),
    });
  } catch (error) {
    signal?.throwIfAborted();
    const message = `The dashboard's server does not answer (${error instanceof Error ? error.name : 'no answer'}). Is \`landfall up\` or \`landfall dashboard\` running?`;
    throw new RequestProblem({ code: 'unreachable', message, status: 0 });
  }
  if (!response.ok) {
    if (response.status === 401) doubtSession();
    throw await readProblem(response);
  }
  if (response.status === 204) return undefined as T;
  const body: unknown = await response.json();
  if (hasNow(body)) setServerNow(body.now);
  return body as T;
}

function hasNow(body: unknown): body is { now: number } {
  return typeof body === 'object' && body !== null && 'now' in body && typeof body.now === 'number';
}

const strangers = new Set<() => void>();

/** Has it asked anew who looks: a request was refused, or a stream that says no reason why. */
export function doubtSession(): void {
  for (const listener of strangers) listener();
}

/** Runs `onRefusal` whenever the server may no longer know who asks. */
export function watchRefusals(onRefusal: () => void): () => void {
  strangers.add(onRefusal);
  return () => strangers.delete(onRefusal);
}
