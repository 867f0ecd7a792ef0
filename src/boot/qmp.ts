/**
 * The QEMU Machine Protocol, as little of it as Landfall needs: JSON lines over a socket, answers matched by id.
 * https://www.qemu.org/docs/master/interop/qmp-spec.html
 */
import type { Socket } from 'node:net';
import { LandfallError } from '../domain/errors.ts';
import type { JsonObject, JsonValue } from '../domain/json.ts';
import { untilAborted } from './until-aborted.ts';

export type QmpOptions = {
  /** Whose QEMU this is, for messages. */
  guest: string;
  /** Connected; this client owns it from now on. */
  socket: Socket;
  /** Called for each asynchronous event, in order. */
  onEvent: (name: string, data: JsonObject) => void;
  signal?: AbortSignal;
};

export type QmpCommand = {
  command: string;
  arguments?: JsonObject;
  signal?: AbortSignal;
  timeoutMs?: number;
};

export type Qmp = Disposable & {
  /** Rejects with `boot-failed` when QEMU refuses, is gone, or does not answer in time. */
  execute(request: QmpCommand): Promise<JsonValue>;
  /** Resolves when the connection ended and every event before that was delivered. */
  closed: Promise<void>;
};

/** QEMU answers within milliseconds, but a busy machine can starve its main loop for seconds. */
const ANSWER_TIMEOUT_MS = 10_000;
/** A longer line is none of ours. */
const MAX_LINE_CHARACTERS = 1024 * 1024;

type Waiter = { command: string; resolve: (value: JsonValue) => void; reject: (error: Error) => void };

/** Waits for the greeting and leaves negotiation mode: from then on commands are taken. */
export async function openQmp({ guest, socket, onEvent, signal }: QmpOptions): Promise<Qmp> {
  const waiters = new Map<number, Waiter>();
  const closed = Promise.withResolvers<void>();
  let nextId = 1;
  let isClosed = false;

  const settle = (waiter: Waiter | undefined, message: JsonObject): void => {
    if (waiter === undefined) return;
    if ('error' in message) waiter.reject(refused(guest, waiter.command, asObject(message.error)));
    else waiter.resolve(message.return ?? null);
  };
  const receive = (line: string): void => {
    const message = parseMessage(line);
    if (message === null) socket.destroy();
    else if (typeof message.event === 'string') onEvent(message.event, asObject(message.data));
    else if (typeof message.id === 'number') settle(waiters.get(message.id), message);
  };
  readLines(socket, receive);
  // An error is always followed by close.
  socket.on('error', () => undefined);
  socket.on('close', () => {
    isClosed = true;
    for (const { command, reject } of waiters.values()) reject(gone(guest, command));
    closed.resolve();
  });

  const execute = async (request: QmpCommand): Promise<JsonValue> => {
    if (isClosed) throw gone(guest, request.command);
    const id = nextId++;
    const answer = Promise.withResolvers<JsonValue>();
    waiters.set(id, { command: request.command, ...answer });
    socket.write(`${JSON.stringify({ execute: request.command, arguments: request.arguments ?? {}, id })}\n`);
    const { command, signal: cancelled, timeoutMs = ANSWER_TIMEOUT_MS } = request;
    const timer = setTimeout(() => answer.reject(unanswered(guest, command, timeoutMs)), timeoutMs);
    try {
      return await untilAborted(answer.promise, cancelled);
    } finally {
      clearTimeout(timer);
      waiters.delete(id);
    }
  };

  // Commands sent before the greeting are kept by the socket and taken after it.
  await execute({ command: 'qmp_capabilities', ...(signal === undefined ? {} : { signal }) });
  return { execute, closed: closed.promise, [Symbol.dispose]: () => void socket.destroy() };
}

function readLines(socket: Socket, onLine: (line: string) => void): void {
  let rest = '';
  socket.setEncoding('utf8');
  socket.on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    if (rest.length > MAX_LINE_CHARACTERS) return void socket.destroy();
    for (const line of lines) if (line.trim() !== '') onLine(line);
  });
}

function parseMessage(line: string): JsonObject | null {
  try {
    const value: JsonValue = JSON.parse(line);
    return asObject(value);
  } catch {
    return null;
  }
}

function asObject(value: JsonValue | undefined): JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : {};
}

function refused(guest: string, command: string, error: JsonObject): LandfallError {
  return new LandfallError({
    code: 'boot-failed',
    message: `QEMU refused ${command} for the guest ${guest}: ${String(error.desc)}`,
  });
}

function gone(guest: string, command: string): LandfallError {
  return new LandfallError({
    code: 'boot-failed',
    message: `The guest ${guest} has stopped, so ${command} cannot be done. Boot it again first.`,
  });
}

function unanswered(guest: string, command: string, timeoutMs: number): LandfallError {
  return new LandfallError({
    code: 'boot-failed',
    message: `QEMU did not answer ${command} for the guest ${guest} within ${timeoutMs / 1000} s. The host may be overloaded: run fewer guests at once.`,
    retryable: true,
  });
}
