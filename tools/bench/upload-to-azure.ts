/** Moves a disk into a managed disk of a sink, each time in a run of its own. */
import type { AzureCloud } from './azure-cloud.ts';
import type { BenchGround } from './bench-ground.ts';
import { runTransfer } from './transfer.ts';
import type { TransferFigures, UploadJob } from './transfer-job.ts';

export async function uploadToAzure(
  ground: BenchGround,
  { cloud, disk }: { cloud: AzureCloud; disk: string },
): Promise<TransferFigures> {
  const job: UploadJob = { ...ground.uploadJob({ cloud, disk, form: 'blocks' }), azure: cloud.azure };
  const environment = ground.environmentOf(cloud);
  return ground.keep(await runTransfer({ job, environment, signal: ground.signal }));
}
