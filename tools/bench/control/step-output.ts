/** What steps that do nothing hand to the record. */
import type { Job } from '../../../src/domain/job.ts';
import type { StepOutput } from '../../../src/domain/machine-record.ts';

/** Of the size that real ones have. */
export function makeOutput({ stage, disk, machine }: Job): StepOutput {
  const id = disk ?? '0';
  switch (stage) {
    case 'shutdown':
    case 'rollback':
      return { stage };
    case 'export':
      return { stage, disk: id, image: { site: null, bytes: 2 ** 36, layout: { kind: 'blank' } } };
    case 'convert':
      return { stage, prepared: {} };
    case 'upload': {
      const ref = { bucket: 'acme-migration', key: `landfall/${machine}/${id}.vmdk` };
      const artifact = {
        disk: id,
        kind: 'object',
        container: 'raw',
        bytes: 2 ** 32,
        ref,
        digests: [],
      } as const;
      return { stage, disk: id, artifact };
    }
    case 'validate':
      return { stage, proof: `${machine}/proof.json` };
    case 'import':
    case 'admit':
      return {
        stage,
        landing: { kind: 'instance', id: 'i-0123456789abcdef0', ref: { volumes: ['vol-01'] } },
      };
    default:
      return stage satisfies never;
  }
}
