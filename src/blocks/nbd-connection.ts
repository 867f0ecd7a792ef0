/**
 * One connection to an NBD server: negotiates, sends requests, and hands each reply to the request that it answers.
 */
import type { LandfallError } from '../domain/errors.ts';
import {
  brokeProtocol,
  clientClosed,
  connectionLost,
  hungUp,
  isShutDown,
  serverSilent,
  shuttingDown,
  tlsFailed,
  unreachable,
} from './nbd-error.ts';
import { createHandshake, type Handshake } from './nbd-handshake.ts';
import { type NbdExport, negotiate } from './nbd-negotiation.ts';
import { type Command, encodeRequest, NbdViolation } from './nbd-protocol.ts';
import { createReplyDecoder, type ReplyFailure, type ReplyReceiver } from './nbd-replies.ts';
import { type NbdSocket, type NbdTls, openSocket } from './nbd-socket.ts';
import { type StallWatch, watchForStalls } from './nbd-stall.ts';
import type { NbdUri } from './nbd-uri.ts';

export type NbdConnectionOptions = {
  uri: NbdUri;
  contexts: readonly string[];
  tls: NbdTls;
  /** The longest silence while an answer is owed. */
  timeoutMs: number;
  /** Ends the opening; an open connection is ended by its owner. */
  signal: AbortSignal;
};

export type NbdRequest = {
  command: Exclude<Command, 'disconnect'>;
  offsetBytes: number;
  lengthBytes: number;
  receiver: ReplyReceiver;
  /** The reply is whole; gives how it failed. Throws `NbdViolation` when it cannot have been whole. */
  finish(): ReplyFailure | null;
  /** No reply will come. */
  abandon(reason: unknown): void;
};

const GOODBYE = { command: 'disconnect', cookie: 0, offsetBytes: 0, lengthBytes: 0 } as const;

/**
 * connecting ──► negotiating (─► securing ─► negotiating) ──► open ──► ended, which can follow each. It ends when the
 * server is lost, silent, shutting down or breaks the protocol, when opening is aborted, and when its owner disposes of
 * it; whatever is in flight then is abandoned with that reason.
 */
type State = 'connecting' | 'negotiating' | 'securing' | 'open' | 'ended';

export class NbdConnection implements AsyncDisposable {
  /** Resolves with the reason when it has ended; never rejects. */
  readonly ended: Promise<unknown>;
  readonly #uri: NbdUri;
  readonly #socket: NbdSocket;
  readonly #stalls: StallWatch;
  readonly #ending = Promise.withResolvers<unknown>();
  readonly #inFlight = new Map<number, NbdRequest>();
  readonly #handshake: Handshake = createHandshake();
  #state: State = 'connecting';
  #takeBytes: (bytes: Uint8Array) => void = (bytes) => this.#handshake.push(bytes);
  #export: NbdExport | null = null;
  #lastCookie = 0;

  static async open(options: NbdConnectionOptions): Promise<NbdConnection> {
    const { signal } = options;
    signal.throwIfAborted();
    const connection = new NbdConnection(options);
    const abort = (): void => connection.#end(signal.reason);
    signal.addEventListener('abort', abort, { once: true });
    try {
      await connection.#negotiate(options.contexts);
      return connection;
    } finally {
      signal.removeEventListener('abort', abort);
    }
  }

  private constructor({ uri, tls, timeoutMs }: NbdConnectionOptions) {
    this.#uri = uri;
    this.ended = this.#ending.promise;
    this.#socket = openSocket({
      address: uri.address,
      tls: uri.isTls
        ? { ...(uri.tlsHostname === null ? {} : { serverName: uri.tlsHostname }), ...tls }
        : null,
      onBytes: (bytes) => this.#receive(bytes),
    });
    void this.#socket.closed.then((cause) => this.#end(this.#lost(cause)));
    this.#stalls = watchForStalls({
      timeoutMs,
      isAwaiting: () => this.#inFlight.size > 0 || (this.#state !== 'open' && this.#state !== 'ended'),
      onStall: () => this.#end(serverSilent(uri.text, { timeoutMs, doing: this.#awaited() })),
    });
    this.#stalls.heard();
  }

  get export(): NbdExport {
    if (this.#export === null) throw new TypeError('the connection is not open yet');
    return this.#export;
  }

  get inFlight(): number {
    return this.#inFlight.size;
  }

  send(request: NbdRequest): void {
    if (this.#state === 'ended') return void this.ended.then((reason) => request.abandon(reason));
    const { command, offsetBytes, lengthBytes } = request;
    this.#lastCookie += 1;
    // Silence counts from the moment on from which an answer is owed.
    if (this.#inFlight.size === 0) this.#stalls.heard();
    this.#inFlight.set(this.#lastCookie, request);
    this.#socket.send(encodeRequest({ command, cookie: this.#lastCookie, offsetBytes, lengthBytes }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // "SHOULD wait until there are no inflight requests": nobody wants their answers any more, so it is cut instead.
    const isPolite = this.#state === 'open' && this.#inFlight.size === 0;
    if (isPolite) this.#socket.send(encodeRequest(GOODBYE));
    const closed = isPolite ? this.#socket.end() : this.#socket.closed;
    this.#end(clientClosed(this.#uri.text), { isPolite });
    await closed;
  }

  async #negotiate(contexts: readonly string[]): Promise<void> {
    const { text, exportName, isTls } = this.#uri;
    try {
      await this.#unlessEnded(this.#socket.connected);
      this.#state = 'negotiating';
      const line = {
        take: (lengthBytes: number) => this.#handshake.take(lengthBytes),
        send: (bytes: Buffer) => this.#socket.send(bytes),
        startTls: () => this.#startTls(),
      };
      this.#export = await this.#unlessEnded(negotiate(line, { uri: text, exportName, isTls, contexts }));
      this.#handshake.checkEmpty();
    } catch (error) {
      this.#fail(error);
      throw await this.ended;
    }
    this.#state = 'open';
    const decoder = createReplyDecoder({
      find: (cookie) => this.#find(cookie).receiver,
      finish: (cookie) => this.#finish(cookie),
    });
    this.#takeBytes = decoder.push;
  }

  async #startTls(): Promise<void> {
    // What came after "go ahead" in the clear may be another's: it would be taken for the server's word.
    this.#handshake.checkEmpty();
    this.#state = 'securing';
    await this.#unlessEnded(this.#socket.startTls());
    this.#state = 'negotiating';
  }

  async #unlessEnded<T>(promise: Promise<T>): Promise<T> {
    const thrown = this.ended.then((reason) => Promise.reject(reason));
    return await Promise.race([promise, thrown]);
  }

  #receive(bytes: Uint8Array): void {
    if (this.#state === 'ended') return;
    this.#stalls.heard();
    try {
      this.#takeBytes(bytes);
    } catch (error) {
      this.#fail(error);
    }
  }

  #find(cookie: number): NbdRequest {
    const request = this.#inFlight.get(cookie);
    if (request === undefined) throw new NbdViolation('it replies to a request that nobody made');
    return request;
  }

  #finish(cookie: number): void {
    const request = this.#find(cookie);
    // Before the request is told: it may send the next one.
    this.#inFlight.delete(cookie);
    const failure = request.finish();
    if (failure !== null && isShutDown(failure)) this.#end(shuttingDown(this.#uri.text));
  }

  #lost(cause: Error | null): LandfallError {
    const { text } = this.#uri;
    switch (this.#state) {
      case 'connecting':
        return unreachable(text, cause);
      case 'securing':
        return tlsFailed(text, cause);
      case 'negotiating':
        return hungUp(text, cause);
      case 'open':
      case 'ended':
        return connectionLost(text, { inFlight: this.#inFlight.size, cause });
      default:
        return this.#state satisfies never;
    }
  }

  #awaited(): string {
    return this.#state === 'open' ? `${this.#inFlight.size} requests waited` : 'the export was being opened';
  }

  #fail(error: unknown): void {
    this.#end(error instanceof NbdViolation ? brokeProtocol(this.#uri.text, error) : error);
  }

  #end(reason: unknown, { isPolite = false } = {}): void {
    if (this.#state === 'ended') return;
    this.#state = 'ended';
    this.#stalls[Symbol.dispose]();
    if (!isPolite) this.#socket.destroy();
    this.#handshake.fail(reason);
    const abandoned = [...this.#inFlight.values()];
    this.#inFlight.clear();
    this.#ending.resolve(reason);
    for (const request of abandoned) request.abandon(reason);
  }
}
