/**
 * A target in memory, with the resume rule of a real one: what it holds outlives attempts, a part or block is held once
 * it was acknowledged, and finishing twice finds the artifact. Tests read what it holds and script what it answers.
 */
import { createHash, hash } from 'node:crypto';
import { combineCrc32, crc32, crc32ToHex } from '../../src/blocks/crc32.ts';
import { BLOCK_BYTES } from '../../src/blocks/stream-encoder.ts';
import type { Container, UploadForm } from '../../src/domain/image.ts';
import type { Artifact, Landing, Observation } from '../../src/domain/landing.ts';
import type {
  BlockSink,
  HeldPart,
  LandedDisk,
  PartSink,
  StepOutcome,
  Target,
  UploadRequest,
} from '../../src/domain/ports.ts';

export type FakeUpload = {
  id: string;
  contentId: string;
  /** Parts by number from 1, or blocks by index. */
  held: Map<number, Buffer>;
  artifact: Artifact | null;
};

/** A part's number or a block's index. */
export type Written = { disk: string; number: number };

export type FakeTarget = Target & {
  /** By disk. */
  uploads: Map<string, FakeUpload>;
  /** Everything that was acknowledged, in order. */
  written: Written[];
  /** Called before it is stored; throwing loses it. */
  beforeWrite: (write: Written, signal: AbortSignal) => Promise<void>;
  /** Called after it was stored and before it is acknowledged. */
  afterWrite: (write: Written) => Promise<void>;
  /** Calls of `finish` that put an artifact together. */
  finishes: number;
  /** Artifacts of each call of `import`. */
  imports: (readonly Artifact[])[];
  /** Answers of `import`, one a call; the last one stays. */
  importOutcomes: StepOutcome<Landing>[];
  admitOutcomes: StepOutcome<Landing>[];
  observation: Observation;
  /** The file that the parts make, or the disk that the blocks make. */
  contentOf(disk: string): Buffer;
  /** What was uploaded is gone, as after the target let it expire. */
  expire(disk: string): void;
};

export type FakeTargetOptions = {
  form?: UploadForm;
  partBytes?: number;
  containers?: readonly Container[];
  /** Does it tell the CRC of parts, as S3 does? */
  tellsCrc?: boolean;
};

export const LANDING: Landing = { kind: 'fake', id: 'i-1', ref: {} };

export function createFakeTarget(options: FakeTargetOptions = {}): FakeTarget {
  const { containers = ['raw'], partBytes = 2 ** 20, tellsCrc = true } = options;
  const form = options.form ?? { kind: 'parts', container: containers[0] ?? 'raw' };
  const diskBytes = new Map<string, number>();
  let uploadCount = 0;
  const begin = (disk: string, contentId: string): FakeUpload => {
    uploadCount += 1;
    const upload = { id: `upload-${uploadCount}`, contentId, held: new Map(), artifact: null };
    target.uploads.set(disk, upload);
    return upload;
  };
  const open = ({ disk, contentId, diskBytes: bytes }: UploadRequest): FakeUpload => {
    diskBytes.set(disk, bytes);
    const known = target.uploads.get(disk);
    return known?.contentId === contentId ? known : begin(disk, contentId);
  };
  const store = async (write: Written, bytes: Uint8Array, signal: AbortSignal): Promise<void> => {
    signal.throwIfAborted();
    await target.beforeWrite(write, signal);
    signal.throwIfAborted();
    uploadOf(target, write.disk).held.set(write.number, Buffer.from(bytes));
    await target.afterWrite(write);
    target.written.push(write);
  };
  const partSink = (disk: string, upload: FakeUpload, container: Container): PartSink => ({
    kind: 'parts',
    id: upload.id,
    finished: upload.artifact,
    held: new Map([...upload.held].map(([number, bytes]) => [number, heldPart(bytes, tellsCrc)])),
    partBytes: () => partBytes,
    writePart: async ({ number, bytes, crc32: told }, signal) => {
      if (crc32(bytes) !== told) throw new Error(`part ${number} was damaged on its way`);
      await store({ disk, number }, bytes, signal);
      return heldPart(Buffer.from(bytes), tellsCrc);
    },
    finish: async (parts) => {
      if (upload.artifact !== null) return upload.artifact;
      target.finishes += 1;
      upload.artifact = putTogether({ disk, container, upload, parts });
      return upload.artifact;
    },
  });
  const blockSink = (disk: string, upload: FakeUpload): BlockSink => ({
    kind: 'blocks',
    id: upload.id,
    blockBytes: BLOCK_BYTES,
    finished: upload.artifact,
    offeredAtOnce: 4,
    writeBlock: async ({ index, bytes, sha256 }, signal) => {
      if (bytes.length !== BLOCK_BYTES || !hash('sha256', bytes, 'buffer').equals(sha256))
        throw new Error(`block ${index} was damaged on its way`);
      await store({ disk, number: index }, bytes, signal);
    },
    finish: async ({ blockCount, linearSha256 }) => {
      if (upload.artifact !== null) return upload.artifact;
      target.finishes += 1;
      requireLinear(upload, { blockCount, linearSha256 });
      const bytes = blockCount * BLOCK_BYTES;
      upload.artifact = {
        disk,
        kind: 'fake',
        container: null,
        bytes,
        ref: { key: `disk-${disk}` },
        digests: [],
      };
      return upload.artifact;
    },
  });
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
    contentOf: (disk) =>
      form.kind === 'parts'
        ? Buffer.concat(inOrder(uploadOf(target, disk)))
        : diskOfBlocks(uploadOf(target, disk), diskBytes.get(disk) ?? 0),
    expire: (disk) => void target.uploads.delete(disk),
    capabilities: { containers, maxDiskBytes: 2 ** 44, maxDisks: 20, firmware: ['bios', 'uefi'] },
    uploadForm: () => form,
    preflight: async () => [],
    openUpload: async (request) => {
      const upload = open(request);
      return form.kind === 'parts'
        ? partSink(request.disk, upload, form.container)
        : blockSink(request.disk, upload);
    },
    import: async ({ artifacts }) => {
      target.imports.push(artifacts);
      return next(target.importOutcomes);
    },
    observe: async () => target.observation,
    admit: async () => next(target.admitOutcomes),
    openLanded: async ({ disk }) => landedDisk(uploadOf(target, disk), diskBytes.get(disk) ?? 0),
    discard: async () => {},
    findTagged: async () => [],
    removeTagged: async () => {},
  };
  return target;
}

function uploadOf(target: FakeTarget, disk: string): FakeUpload {
  const upload = target.uploads.get(disk);
  if (upload === undefined) throw new Error(`nothing of disk ${disk} was uploaded`);
  return upload;
}

function heldPart(bytes: Buffer, tellsCrc: boolean): HeldPart {
  const etag = hash('md5', bytes);
  return { bytes: bytes.length, crc32: tellsCrc ? crc32(bytes) : null, etag };
}

function putTogether(from: {
  disk: string;
  container: Container;
  upload: FakeUpload;
  parts: readonly (HeldPart & { crc32: number })[];
}): Artifact {
  const { disk, container, upload, parts } = from;
  const held = inOrder(upload).slice(0, parts.length);
  if (held.length !== parts.length) throw new Error('parts are missing');
  for (const [index, bytes] of held.entries()) {
    if (crc32(bytes) !== parts[index]?.crc32) throw new Error(`part ${index + 1} is not what it should be`);
  }
  // What an earlier attempt sent beyond the end does not belong to the file.
  for (const number of upload.held.keys()) if (number > parts.length) upload.held.delete(number);
  const whole = combineCrc32(parts);
  return {
    disk,
    kind: 'fake',
    container,
    bytes: held.reduce((sum, { length }) => sum + length, 0),
    ref: { key: `disk-${disk}` },
    digests: [{ algorithm: 'crc32', value: crc32ToHex(whole), isConfirmed: true }],
  };
}

function requireLinear(upload: FakeUpload, told: { blockCount: number; linearSha256: Uint8Array }): void {
  const linear = createHash('sha256');
  for (const bytes of inOrder(upload)) linear.update(hash('sha256', bytes, 'buffer'));
  if (told.blockCount !== upload.held.size) throw new Error('blocks are missing');
  if (!linear.digest().equals(told.linearSha256)) throw new Error('the blocks are not what they should be');
}

function inOrder({ held }: FakeUpload): Buffer[] {
  return [...held].sort(([a], [b]) => a - b).map(([, bytes]) => bytes);
}

function diskOfBlocks({ held }: FakeUpload, bytes: number): Buffer {
  const disk = Buffer.alloc(Math.ceil(bytes / BLOCK_BYTES) * BLOCK_BYTES);
  for (const [index, block] of held) disk.set(block, index * BLOCK_BYTES);
  return disk.subarray(0, bytes);
}

function landedDisk({ held }: FakeUpload, bytes: number): LandedDisk {
  return {
    bytes,
    blockBytes: BLOCK_BYTES,
    heldBlocks: async function* () {
      yield* [...held.keys()].sort((a, b) => a - b);
    },
    readBlock: async (index) => held.get(index) ?? Buffer.alloc(BLOCK_BYTES),
    [Symbol.asyncDispose]: async () => {},
  };
}

function next<T>(answers: T[]): T {
  const answer = answers.length > 1 ? answers.shift() : answers[0];
  if (answer === undefined) throw new TypeError('the test gave no answer');
  return answer;
}
