/**
 * What the stages need from the outside world. Sources and targets are adapters; the rest are rooms of the house. Long,
 * since the contracts are in it.
 * Every method that waits takes an AbortSignal or lives under the signal of its context, and rejects soon after abort.
 */
import type { ErrorCode } from './errors.ts';
import type { Container, Fingerprint, Image, OpenImage, UploadForm } from './image.ts';
import type { JsonObject, JsonValue } from './json.ts';
import type { Artifact, Landing, LandingSeen, Observation } from './landing.ts';
import type { Firmware, Machine } from './machine.ts';
import type { WaveMachine } from './wave.ts';

// --- for every step ---------------------------------------------------------------------------------------------

/** A step either ended, or it waits for the outside world: then its worker slot is given back until `afterMs` passed. */
export type StepOutcome<T> = { kind: 'done'; value: T } | { kind: 'wait'; afterMs: number; note: string };

export type Progress = {
  /** What the target (or staging) durably holds. Never more than `totalBytes`, never less than before. */
  doneBytes: number;
  totalBytes: number;
  /** Holes and zeros, which are neither read nor sent: not part of the other two. */
  zeroBytes?: number;
  note: string;
};

/** What one attempt at one step may use. Bound to its run, machine and lease. */
export type StepContext = {
  run: string;
  machine: string;
  /** `landfall:run` and `landfall:machine`: put on everything that is created at the target. */
  tags: Readonly<Record<string, string>>;
  /** Aborts on cancellation, on shutdown of the worker and when the lease is lost. No request outlives it. */
  signal: AbortSignal;
  ledger: Ledger;
  checkpoints: Checkpoints;
  slots: Slots;
  bandwidth: Bandwidth;
  clock: Clock;
  /** One line for the operator in the run's events. */
  log(level: LogLevel, message: string, fields?: JsonObject): void;
  /** Never blocks the data path; the newest value wins. */
  report(progress: Progress): void;
  /** The same for what a landing shows while it boots. null: no news. */
  show(seen: LandingSeen): void;
};

export type LogLevel = 'info' | 'warn' | 'error';

export interface Clock {
  /** Milliseconds since the epoch on the one clock of all hosts (Redis TIME). For durable decisions. */
  now(): Promise<number>;
  /** Monotonic milliseconds of this process. For durations. */
  monotonicMs(): number;
}

export type LedgerState = 'intended' | 'done' | 'failed' | 'discarded';

/** One side effect on the outside world: the intent before it, the outcome after it. */
export type LedgerEntry = {
  run: string;
  machine: string;
  /** What is made, as `kind` or `kind:disk`, for example "import-task:0", "instance". */
  thing: string;
  /** Grows only when the last outcome was settled as failed or discarded. */
  generation: number;
  /** hash(run, machine, thing, generation), 32 hex digits: the client token, and the tail of deterministic names. */
  token: string;
  state: LedgerState;
  /** The target's name for it once known, for example {snapshotId}. */
  ref: JsonObject | null;
  /** Milliseconds since the epoch, of the last change. */
  at: number;
};

export interface Ledger {
  /**
   * Declares that `thing` will be made. Returns the open entry (intended or done) where there is one: then find what
   * it made before creating it. Throws `lease-lost` when this attempt's lease is stale.
   */
  intend(thing: string): Promise<LedgerEntry>;
  /** Writes the outcome; `ref` is merged over what is known. Throws `lease-lost` when this attempt's lease is stale. */
  settle(entry: LedgerEntry, state: LedgerState, ref?: JsonObject): Promise<LedgerEntry>;
  /** All entries of this machine, oldest first. */
  entries(): Promise<LedgerEntry[]>;
}

/** Small durable values of this machine in this run, for what the target cannot tell. Saved after the write was acknowledged. */
export interface Checkpoints {
  get(key: string): Promise<JsonValue | null>;
  set(key: string, value: JsonValue): Promise<void>;
  /** Bytes as they are, for tables that would be bulky as JSON, in the order of the keys. Ask for about 1 MiB at once. */
  getBytes(keys: readonly string[]): Promise<(Uint8Array | null)[]>;
  /** A key holds one value: this one replaces what `set` wrote, and the other way round. */
  setBytes(key: string, bytes: Uint8Array): Promise<void>;
  /** All of them or none. */
  delete(...keys: readonly string[]): Promise<void>;
}

/** Counted permits shared by all workers, for example import tasks outstanding at a target. */
export interface Slots {
  /** Idempotent for one holder. false: all are taken, ask again later. Given back when the machine ends, at the latest. */
  claim(slot: { name: string; holder: string; limit: number }): Promise<boolean>;
  release(slot: { name: string; holder: string }): Promise<void>;
}

/** What may be sent, shared with all who send for the same run, and with all workers of the same host. */
export interface Bandwidth {
  /**
   * Resolves when so many bytes may be sent; to be awaited before each send, of some megabytes at most. All who wait get
   * the same number of bytes, however much they ask for at once. Limits may change at any time. Never waits for a Redis
   * that is away.
   */
  take(bytes: number, signal: AbortSignal): Promise<void>;
}

/** What outlives workers: screenshots, consoles, digests, proofs. Paths are relative, with `/`. */
export interface Evidence {
  /** What was there before stays when it is aborted. */
  put(path: string, bytes: Uint8Array | string, signal?: AbortSignal): Promise<void>;
  /** null when there is none. */
  get(path: string, signal?: AbortSignal): Promise<Uint8Array | null>;
  list(prefix: string, signal?: AbortSignal): Promise<string[]>;
  /** Where an operator finds it: an absolute file path or an s3:// URL. */
  locate(path: string): string;
}

/** One line of pre-flight or of `doctor`. */
export type Finding = {
  level: 'ok' | 'warn' | 'fail';
  /** What was looked at, for example "bucket acme-mig" or "shop-db disk 0". */
  subject: string;
  message: string;
  /** What to do; null when ok. */
  remedy: string | null;
  /** Of the error that kept it from being looked at; left out where it was. */
  code?: ErrorCode;
  /** Where what stands in the way is this machine's own landing: the run that made it. */
  landedBy?: string;
};

// --- sources ----------------------------------------------------------------------------------------------------

export type PowerState = 'on' | 'off';

export interface Source {
  /**
   * The machines that `from` selects; an appliance, or a pattern, may give several. Of these, `name` in `from` picks the one
   * of that name. Throws `image-…` errors on bad input.
   */
  machines(from: JsonObject, signal: AbortSignal): Promise<Machine[]>;
  /** What an operator should know before a byte moves, beyond what `machines` refuses. Plans have their `${env:NAME}` resolved. */
  preflight?(machines: readonly PlannedMachine[], signal: AbortSignal): Promise<Finding[]>;
  powerState(machine: Machine, signal: AbortSignal): Promise<PowerState>;
  /** Fixes a consistent state of one disk and says where to read it. Reads no data unless the source must be unpacked. */
  export(request: ExportRequest, context: StepContext): Promise<Image>;
  /** Serves the image over NBD, in the process that reads. */
  open(image: Image, signal: AbortSignal): Promise<OpenImage>;
  /** Throws `source-changed` when the image can no longer be found. */
  fingerprint(image: Image): Promise<Fingerprint>;
  /** Gives back whatever export held or unpacked for this machine. Idempotent. */
  release(request: { from: JsonObject; machine: Machine }, context: StepContext): Promise<void>;
  /** What can be done to machines there. Left out where nothing runs: then they are off, and nobody turns them on again. */
  readonly control?: SourceControl;
}

/**
 * What a cutover does to a machine at its source, and a rollback undoes. The source's own id finds the machine, whatever
 * its wave calls it. Every method looks before it acts, so it may be called again after a crash at any point and in
 * another process; each returns only once the source itself says that it is so. An abort ends the waiting: what was
 * asked of the guest cannot be taken back, so look again afterwards. Throws `source-changed` where the machine is gone.
 */
export interface SourceControl {
  /**
   * Asks the guest to shut down (its agent, else the power button) and returns at once: whether it did is for `powerState`
   * to say. A guest that was still starting may not have heard; asking again hurts nobody. Throws `source-not-off` where
   * the guest cannot hear (it is paused) or could not be turned on again.
   */
  requestShutDown(machine: Machine, signal: AbortSignal): Promise<void>;
  /** Cuts the machine off, which to its guest is a power failure, and waits until it is off. */
  cutOff(machine: Machine, signal: AbortSignal): Promise<void>;
  /** Turns the machine on and waits until it runs. Where something holds its disks, says what (`conflict`). */
  powerOn(machine: Machine, signal: AbortSignal): Promise<void>;
  /** Is it started together with its host? A machine that was moved must not be: ask before, put back after a rollback. */
  isAutostarted(machine: Machine, signal: AbortSignal): Promise<boolean>;
  setAutostart(machine: Machine, isAutostarted: boolean, signal: AbortSignal): Promise<void>;
  /** Landfall's own note on the machine, apart from what people wrote there; null where there is none. */
  readNote(machine: Machine, signal: AbortSignal): Promise<string | null>;
  /** One line for people who look there, in place of the one before; null takes it away. */
  writeNote(machine: Machine, note: string | null, signal: AbortSignal): Promise<void>;
}

export type ExportRequest = {
  from: JsonObject;
  machine: Machine;
  disk: string;
  pass: number;
  /** A folder of this run and machine in staging, for sources that must be unpacked. Made by whoever writes there. */
  stagingFolder: string;
};

// --- targets ----------------------------------------------------------------------------------------------------

export type TargetCapabilities = {
  /** In order of preference. */
  containers: readonly Container[];
  maxDiskBytes: number;
  maxDisks: number;
  firmware: readonly Firmware[];
};

export type PlannedMachine = { wave: WaveMachine; machine: Machine };

export interface Target {
  readonly capabilities: TargetCapabilities;
  /** How this disk is uploaded. Throws `target-refused` where there is no way. */
  uploadForm(disk: { bytes: number; to: JsonObject }): UploadForm;
  /**
   * Everything that can be known before a byte moves: credentials, bucket, role, rights, names, quotas. What
   * `capabilities` declares is checked by whoever asks: it is not told here once more.
   */
  preflight(machines: readonly PlannedMachine[], signal: AbortSignal): Promise<Finding[]>;
  /** Opens a new upload, or the one that an earlier attempt left (find before create). */
  openUpload(request: UploadRequest, context: StepContext): Promise<UploadSink>;
  /** Re-entrant: each call looks where things stand, does what can be done and returns; state is in the ledger. */
  import(request: ImportRequest, context: StepContext): Promise<StepOutcome<Landing>>;
  observe(landing: Landing, context: StepContext): Promise<Observation>;
  /** Puts a proven landing into service: from quarantine into the wave's network. Re-entrant. */
  admit(request: { to: JsonObject; landing: Landing }, context: StepContext): Promise<StepOutcome<Landing>>;
  /**
   * Opens what a landing was made of, as it was before it first booted, to compare it with the digest tree. null where
   * the target changed the disk by design (it converted the guest). Throws `target-…` errors.
   */
  openLanded(
    request: { landing: Landing; machine: Machine; disk: string },
    signal: AbortSignal,
  ): Promise<LandedDisk | null>;
  /** Removes what one ledger entry made, if it is still there, and nothing else. Idempotent. */
  discard(entry: LedgerEntry, context: StepContext): Promise<void>;
  /** Everything at the target that carries this run's tag, also what was created just before a crash. */
  findTagged(run: string, signal: AbortSignal): Promise<TaggedThing[]>;
  /** Removes one thing that findTagged found, after checking that it still carries the run's tag. Idempotent. */
  removeTagged(thing: TaggedThing, run: string, signal: AbortSignal): Promise<void>;
  /** US dollars a month at list price, from what is known already; null, or left out: not known. */
  monthlyPrice?(made: MadeByEntry): number | null;
}

/** What is known of a disk's sizes; null: not yet. */
export type PricedDisk = {
  id: string;
  /** Virtual size. */
  bytes: number;
  dataBytes: number | null;
  /** What its artifact holds at the target. */
  artifactBytes: number | null;
};

export type MadeByEntry = { entry: LedgerEntry; to: JsonObject; disks: readonly PricedDisk[] };

export type TaggedThing = { kind: string; id: string; machine: string | null; detail: string };

export type UploadRequest = {
  machine: Machine;
  disk: string;
  /** Virtual size. */
  diskBytes: number;
  to: JsonObject;
  form: UploadForm;
  /**
   * Names the content: an upload that was begun from another is removed and begun anew, since blocks of two states of a
   * disk must never meet.
   */
  contentId: string;
  /** Upper bound of the file's length, where it is a file. */
  maxFileBytes: number;
  /** Left out: the only one. */
  pass?: UploadPass;
};

/** One of the copies that make an artifact: a full one, then what changed since the one before. */
export type UploadPass = {
  /** 0 is the full copy. */
  number: number;
  /** No other follows. Until then a target may keep the artifact open. */
  isLast: boolean;
  /** What the pass before left; null in pass 0. */
  previous: Artifact | null;
};

export type UploadSink = PartSink | BlockSink;

export type HeldPart = {
  bytes: number;
  /** CRC-32 as an unsigned number, where the target tells it. */
  crc32: number | null;
  /** The target's own mark of what it holds. */
  etag: string;
};

/** `linearSha256`: SHA-256 over the digests of so many blocks, in the order of their indexes. */
export type LinearDigest = { blockCount: number; linearSha256: Uint8Array };

/** A file in parts, numbered from 1, that may be written in any order and again; durable once `writePart` resolved. */
export type PartSink = {
  kind: 'parts';
  /** Of the upload at the target. Another id means that nothing of an earlier attempt is held any more. */
  id: string;
  /** The finished artifact, where an earlier attempt got that far: then nothing is left to write. */
  finished: Artifact | null;
  /** What the target says it holds. */
  held: ReadonlyMap<number, HeldPart>;
  /** The least length of a part (the last may be shorter). The longest part is at most 1 MiB longer. */
  partBytes(number: number): number;
  /** `crc32` is of `bytes`. They are the target's until it resolved, then the caller's again. */
  writePart(
    part: { number: number; bytes: Uint8Array; crc32: number },
    signal: AbortSignal,
  ): Promise<HeldPart>;
  /** Puts the parts together; all of them, in order. Idempotent: on a second call finds the artifact. */
  finish(parts: readonly (HeldPart & { crc32: number })[]): Promise<Artifact>;
};

/**
 * A disk in blocks of `blockBytes`, in any order, each written once or more; those never written are zeros, or in a later
 * pass as the pass before left them.
 */
export type BlockSink = {
  kind: 'blocks';
  /** As of `PartSink`. */
  id: string;
  blockBytes: number;
  finished: Artifact | null;
  /**
   * A whole block, the last one padded with zeros. Durable once it resolved. The sink adapts how many it sends at once;
   * callers may offer `offeredAtOnce` and wait.
   */
  writeBlock(
    block: { index: number; bytes: Uint8Array; sha256: Uint8Array },
    signal: AbortSignal,
  ): Promise<void>;
  offeredAtOnce: number;
  /**
   * In a later pass: the block is zeros from now on. Durable once it resolved. Left out where a block that became zero is
   * written as any other.
   */
  clearBlock?(index: number, signal: AbortSignal): Promise<void>;
  /**
   * Did the target hold all of this block when the sink was opened? Left out where the target tells nobody. A block that
   * Landfall knows and the target does not hold is sent again; one that the target holds and Landfall does not know, too,
   * since nobody knows what is in it.
   */
  isHeld?(index: number): boolean;
  /** `whole`: of all blocks of the disk that hold data after a later pass. Left out where that is what was written. */
  finish(written: LinearDigest & { whole?: LinearDigest }): Promise<Artifact>;
};

/** A disk as it landed. */
export type LandedDisk = AsyncDisposable & {
  bytes: number;
  blockBytes: number;
  /** Ascending indexes of the blocks that are held; the others are zeros. */
  heldBlocks(signal: AbortSignal): AsyncIterable<number>;
  /** At any time and in any number at once; the target's limits are the adapter's to keep. */
  readBlock(index: number, signal: AbortSignal): Promise<Uint8Array>;
};

export type ImportRequest = { machine: Machine; to: JsonObject; artifacts: readonly Artifact[] };
