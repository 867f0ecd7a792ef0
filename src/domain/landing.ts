/** What stands at the target: artifacts that upload left, the landing import made of them, the proof that it works. */
import type { Container } from './image.ts';
import type { JsonObject } from './json.ts';

export type Digest = {
  /** For example "crc32" (of the whole uploaded object) or "sha256-tree" (root of the content's digest tree). */
  algorithm: string;
  /** Lower-case hexadecimal. */
  value: string;
  /** Did the target compute the same digest over what it holds? */
  isConfirmed: boolean;
};

export type Artifact = {
  disk: string;
  kind: string;
  /** null where it is no file. */
  container: Container | null;
  /** Bytes held at the target. */
  bytes: number;
  /** The target's own name for it, for example {bucket, key}. */
  ref: JsonObject;
  digests: readonly Digest[];
};

export type Landing = {
  kind: string;
  /** What an operator looks for in the target's console, for example an instance id. */
  id: string;
  /** The target's names for all its parts. */
  ref: JsonObject;
  /** Where it answers within its own network; null or left out where the target does not tell. */
  address?: string | null;
};

export type LandingCheck = { name: string; state: 'ok' | 'pending' | 'failed'; detail: string };

/** What can be seen of a landing at one moment. */
export type Observation = {
  state: 'starting' | 'running' | 'stopped' | 'gone';
  checks: readonly LandingCheck[];
  /** Console text so far, decoded; the target may keep only its tail. */
  console: string;
  /** PNG; null while the target has none. */
  screenshot: Uint8Array | null;
};

/** What those who look on are shown of it; null: no news. */
export type LandingSeen = {
  /** Its id. */
  landing: string;
  /** As readable lines. */
  console: string | null;
  screenshot: Uint8Array | null;
};

/** The evidence that a landing works, kept as `proof.json`; file paths are relative to the evidence store's root. */
export type Proof = {
  run: string;
  machine: string;
  landing: Landing;
  /** The console lines that met the wave's expectations, in the order of the patterns. */
  consoleLines: readonly string[];
  consoleFile: string;
  screenshotFile: string | null;
  checks: readonly LandingCheck[];
  disks: readonly ProvenDisk[];
  /** Milliseconds since the epoch. */
  provenAt: number;
  stages: readonly StageTime[];
};

export type ProvenDisk = { disk: string; bytes: number; uploadedBytes: number; digests: readonly Digest[] };
export type StageTime = { step: string; startedAt: number; endedAt: number; tries: number };
