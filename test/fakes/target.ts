/**
 * A target in memory, with the resume rule of a real one: what it holds outlives attempts, a part is held once
 * `writePart` resolved, and finishing twice finds the artifact. Tests read what it holds and script what it answers.
 */
import { combineCrc32, crc32, crc32ToHex } from '../../src/blocks/crc32.ts';
import type { Container } from '../../src/domain/image.ts';
import type { Artifact, Landing, Observation } from '../../src/domain/landing.ts';
import type { HeldPart, StepOutcome, Target, UploadSink } from '../../src/domain/ports.ts';

export type FakeUpload = { parts: Map<number, Buffer>; artifact: Artifact | null };

export type FakeTarget = Target & {
  /** By disk. */
  uploads: Map<string, FakeUpload>;
  /** Every part that was acknowledged, in order. */
  written: { disk: string; number: number }[];
  /** Called before a part is stored; throwing loses it. */
  beforeWrite: (part: { disk: string; number: number }, signal: AbortSignal) => Promise<void>;
  /** Called after a part is stored and before it is acknowledged. */
  afterWrite: (part: { disk: string; number: number }) => Promise<void>;
  /** Calls of `finish` that put parts together. */
  finishes: number;
  /** Artifacts of each call of `import`. */
  imports: (readonly Artifact[])[];
  /** Answers of `import`, one a call; the last one stays. */
  importOutcomes: StepOutcome<Landing>[];
  admitOutcomes: StepOutcome<Landing>[];
  observation: Observation;
  /** The whole object of a disk. */
  contentOf(disk: string): Buffer;
};

export type FakeTargetOptions = {
  partBytes?: number;
  containers?: readonly Container[];
  /** Does it tell the CRC of parts, as S3 does? */
  tellsCrc?: boolean;
};

export const LANDING: Landing = { kind: 'fake', id: 'i-1', ref: {} };

export function createFakeTarget(options: FakeTargetOptions = {}): FakeTarget {
  const { partBytes = 64 * 1024, containers = ['raw'], tellsCrc = true } = options;
  const target: FakeTarget = {
    uploads: new Map(),
    written: [],
    beforeWrite: async () => {},
    afterWrite: async () => {},
    finishes: 0,
    imports: [],
    importOutcomes: [{ kind: 'done', value: LANDING }],
    admitOutcomes: [{ kind: 'done', value: LANDING }],
    observation: { state: 'running', checks: [], console: '', screenshot: null },
    contentOf: (disk) => joinParts(uploadOf(target, disk)),
    capabilities: { containers, maxDiskBytes: 2 ** 44, maxDisks: 20, firmware: ['bios', 'uefi'] },
    containerFor: () => containers[0] ?? 'raw',
    preflight: async () => [],
    openUpload: async ({ disk, container, lengthBytes }) => {
      const upload = uploadOf(target, disk);
      const partCount = Math.max(1, Math.ceil(lengthBytes / partBytes));
      const sink: UploadSink = {
        partBytes,
        partCount,
        finished: upload.artifact,
        held: new Map([...upload.parts].map(([number, bytes]) => [number, heldPart(bytes, tellsCrc)])),
        writePart: async ({ number, bytes, crc32: told }, signal) => {
          signal.throwIfAborted();
          await target.beforeWrite({ disk, number }, signal);
          signal.throwIfAborted();
          if (crc32(bytes) !== told) throw new Error(`part ${number} was damaged on its way`);
          upload.parts.set(number, Buffer.from(bytes));
          await target.afterWrite({ disk, number });
          target.written.push({ disk, number });
        },
        finish: async (crcs) => {
          if (upload.artifact !== null) return upload.artifact;
          target.finishes += 1;
          upload.artifact = assemble({ disk, container, upload, crcs, partCount });
          return upload.artifact;
        },
      };
      return sink;
    },
    import: async ({ artifacts }) => {
      target.imports.push(artifacts);
      return next(target.importOutcomes);
    },
    observe: async () => target.observation,
    admit: async () => next(target.admitOutcomes),
    discard: async () => {},
    findTagged: async () => [],
    removeTagged: async () => {},
  };
  return target;
}

function uploadOf(target: FakeTarget, disk: string): FakeUpload {
  const upload = target.uploads.get(disk) ?? { parts: new Map(), artifact: null };
  target.uploads.set(disk, upload);
  return upload;
}

function heldPart(bytes: Buffer, tellsCrc: boolean): HeldPart {
  return { bytes: bytes.length, crc32: tellsCrc ? crc32(bytes) : null };
}

function assemble(from: {
  disk: string;
  container: Container;
  upload: FakeUpload;
  crcs: readonly number[];
  partCount: number;
}): Artifact {
  const { disk, container, upload, crcs, partCount } = from;
  const parts = inOrder(upload);
  if (parts.length !== partCount || crcs.length !== partCount) throw new Error('parts are missing');
  for (const [index, bytes] of parts.entries()) {
    if (crc32(bytes) !== crcs[index]) throw new Error(`part ${index + 1} is not what it should be`);
  }
  const whole = combineCrc32(parts.map((bytes) => ({ crc32: crc32(bytes), bytes: bytes.length })));
  return {
    disk,
    kind: 'fake',
    container,
    bytes: joinParts(upload).length,
    ref: { key: `disk-${disk}` },
    digests: [{ algorithm: 'crc32', value: crc32ToHex(whole), isConfirmed: true }],
  };
}

function joinParts(upload: FakeUpload): Buffer {
  return Buffer.concat(inOrder(upload));
}

function inOrder({ parts }: FakeUpload): Buffer[] {
  return [...parts].sort(([a], [b]) => a - b).map(([, bytes]) => bytes);
}

function next<T>(answers: T[]): T {
  const answer = answers.length > 1 ? answers.shift() : answers[0];
  if (answer === undefined) throw new TypeError('the test gave no answer');
  return answer;
}
