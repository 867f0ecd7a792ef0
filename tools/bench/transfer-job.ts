/** What a bench asks of a worker process, and what that answers, as JSON lines on its standard output. */
import type { UploadForm } from '../../src/domain/image.ts';
import type { JsonObject } from '../../src/domain/json.ts';
import type { Standstill } from './standstills.ts';

export type TransferJob =
  /** Reads an NBD export to nothing. */
  | { kind: 'read'; uri: string }
  /** Moves a raw disk to the target, by the stages that a worker runs: export, convert, upload. */
  | {
      kind: 'upload';
      run: string;
      disk: string;
      form: UploadForm['kind'];
      bucket: string;
      redisUrl: string;
      stagingFolder: string;
      /** Options of an Azure target, to which it goes instead of the AWS one. */
      azure?: JsonObject;
    };

export type UploadJob = Extract<TransferJob, { kind: 'upload' }>;

export type TransferFigures = {
  /** Of content that was read; holes are left out. */
  readBytes: number;
  elapsedMs: number;
  /** All threads of the process, user and system, while it moved the disk. */
  cpuMs: number;
  /** The process's peak of resident memory, from its start on (VmHWM). */
  peakBytes: number;
  /** The longest that the event loop served nothing, by the wall clock. */
  worstBlockMs: number;
  /** When it served nothing for 20 ms or longer. */
  standstills: readonly Standstill[];
  /** Length of what it left at the target; 0 where that is nothing. */
  artifactBytes: number;
  /** What the process wrote to disks, and what is in staging at its end. */
  stagedBytes: number;
};

export type TransferMessage =
  /** The attempt begins: it holds its lease. */
  | { kind: 'began' }
  | { kind: 'progress'; doneBytes: number; totalBytes: number }
  | { kind: 'ended'; figures: TransferFigures };
