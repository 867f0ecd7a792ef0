/** A wave: machines that are migrated together, as its file under `workflows/` says. Holds no secrets. */
import type { BandwidthPlan } from './bandwidth-plan.ts';
import type { JsonObject } from './json.ts';
import type { WindowSpec } from './window.ts';

/** How a landing is judged. Patterns are JavaScript regular expressions, matched per console line. */
export type ProofPolicy = {
  /** Every pattern must match some console line. */
  expect: readonly string[];
  /** A match fails the landing at once, beside the failures that are always known. */
  refuse: readonly string[];
  /** From the landing's start; for the checks, from when it was admitted. */
  deadlineSeconds: number;
  /** What must answer once it is admitted. All must hold within the deadline. */
  checks: readonly ServiceCheck[];
};

/** Tried from the worker, which must be able to reach the landing. `{address}` in it is the landing's own. */
export type ServiceCheck =
  | { kind: 'tcp'; host: string; port: number }
  /** `status`: what it must answer with; null: any from 200 to 399. */
  | { kind: 'http'; url: string; status: number | null }
  /** Must exit with 0. */
  | { kind: 'command'; command: readonly string[] };

/** How a machine is turned off at its source. */
export type ShutdownPolicy = {
  /** How long its guest may take. */
  graceSeconds: number;
  /** May a guest that does not end within that time be cut off? To it, that is a power failure. */
  force: boolean;
};

/** What becomes of a machine that failed: back to its source, kept as it is for a person to decide, or left. */
export const FAILURE_POLICIES = ['rollback', 'hold', 'leave'] as const;
export type FailurePolicy = (typeof FAILURE_POLICIES)[number];

/** What becomes of a machine that is on the move and not proven when the window closes. */
export const OVERRUN_POLICIES = ['rollback', 'finish'] as const;
export type OverrunPolicy = (typeof OVERRUN_POLICIES)[number];

export const HOOK_MOMENTS = [
  'before-shutdown',
  'after-shutdown',
  'before-import',
  'after-import',
  'before-admit',
  'after-landing',
  'before-rollback',
  'after-rollback',
] as const;
export type HookMoment = (typeof HOOK_MOMENTS)[number];

/**
 * Something of the operator's own that is done at a moment of a machine's cutover: once as a rule, and again after a crash
 * at that moment, so it must bear being repeated.
 */
export type Hook = {
  at: HookMoment;
  timeoutSeconds: number;
  /** `fail`: the machine fails where it fails. `warn`: the machine goes on. */
  onFailure: 'fail' | 'warn';
} & (
  | { kind: 'command'; command: readonly string[] }
  | {
      kind: 'http';
      method: string;
      url: string;
      headers: Readonly<Record<string, string>>;
      body: string | null;
    }
);

export const NOTICE_TOPICS = [
  'failed',
  'held',
  'approval-wanted',
  'window-at-risk',
  'rolled-back',
  'landed',
] as const;
/** What operators want to hear of while they sleep. */
export type NoticeTopic = (typeof NOTICE_TOPICS)[number];

/** Who is told. Addresses with secrets in them are `${env:NAME}` references until they are used. */
export type NoticeChannel = { on: readonly NoticeTopic[] } & (
  | { kind: 'webhook'; url: string }
  | { kind: 'mail'; smtp: string; from: string; to: readonly string[] }
);

/** Machines that belong together, such as the database tier. */
export type WaveGroup = {
  /** The wave stops to start machines once more than so many of the group did not land; null: never. */
  stopAfter: { failures: number } | { percent: number } | null;
};

export const EXPORT_MODES = ['in-place', 'spool'] as const;
export type ExportMode = (typeof EXPORT_MODES)[number];

export type WaveMachine = {
  name: string;
  /** It stands for all machines that `from` selects, each by its name at the source: only until the wave is planned. */
  selectsMany?: boolean;
  /** Of those that it selects, the ones that are left out, by patterns of their names: only until the wave is planned. */
  except?: readonly string[];
  /** The source adapter's options for this machine. */
  from: JsonObject;
  /** The target adapter's options for this machine, defaults merged in. */
  to: JsonObject;
  /** `spool`: its disks are copied into staging before anything else reads them. */
  export: ExportMode;
  proof: ProofPolicy;
  /** null: it belongs to none. */
  group: string | null;
  /** Machines and groups that must have landed before it starts, those of its group included. */
  after: readonly string[];
  shutdown: ShutdownPolicy;
  onFailure: FailurePolicy;
  hooks: readonly Hook[];
};

export type AdapterChoice = { kind: string; options: JsonObject };

export type SourceChoice = AdapterChoice & {
  /** From where it can be reached: only workers of that site touch it. null: every worker can. */
  site: string | null;
};

export type Wave = {
  name: string;
  /** Absolute path of the wave file. */
  file: string;
  /** SHA-256 of what the file says: has it changed since? */
  digest: string;
  source: SourceChoice;
  target: AdapterChoice;
  machines: readonly WaveMachine[];
  /** By name. */
  groups: Readonly<Record<string, WaveGroup>>;
  /** null: at any time. */
  window: WindowSpec | null;
  onOverrun: OverrunPolicy;
  /** Must somebody say `landfall approve` before anything happens? */
  isApprovalRequired: boolean;
  /** Must that be somebody else than whoever planned the run? Left out in waves of older runs: no. */
  isApprovalByAnother?: boolean;
  notify: readonly NoticeChannel[];
  limits: {
    /** Machines on the move at once. */
    machines: number;
    /** The same per host at the source; absent: no limit of their own. */
    machinesPerHost?: number;
    /** Tries of one step before it fails. */
    tries: number;
    /** What all workers together may send for a run; absent: as fast as it goes. */
    bytesPerSecond?: number;
    /** The same by the hour of the day, instead. */
    bandwidthPlan?: BandwidthPlan;
  };
};
