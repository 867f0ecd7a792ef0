/** A wave: machines that are migrated together, as its file under `workflows/` says. Holds no secrets. */
import type { JsonObject } from './json.ts';

/** How a landing is judged. Patterns are JavaScript regular expressions, matched per console line. */
export type ProofPolicy = {
  /** Every pattern must match some console line. */
  expect: readonly string[];
  /** A match fails the landing at once, beside the failures that are always known. */
  refuse: readonly string[];
  /** From the landing's start. */
  deadlineSeconds: number;
};

export const EXPORT_MODES = ['in-place', 'spool'] as const;
export type ExportMode = (typeof EXPORT_MODES)[number];

export type WaveMachine = {
  name: string;
  /** The source adapter's options for this machine. */
  from: JsonObject;
  /** The target adapter's options for this machine, defaults merged in. */
  to: JsonObject;
  /** `spool`: its disks are copied into staging before anything else reads them. */
  export: ExportMode;
  proof: ProofPolicy;
};

export type AdapterChoice = { kind: string; options: JsonObject };

export type Wave = {
  name: string;
  /** Absolute path of the wave file. */
  file: string;
  source: AdapterChoice;
  target: AdapterChoice;
  machines: readonly WaveMachine[];
  limits: {
    /** Machines on the move at once. */
    machines: number;
    /** Tries of one step before it fails. */
    tries: number;
    /** What all workers together may send for a run; absent: as fast as it goes. */
    bytesPerSecond?: number;
  };
};
