/**
 * One worker process of a bench, so that its time, memory and event loop are a worker's and nobody else's: the stages over
 * the real adapters, with lease, ledger and checkpoints in a real Redis. `node transfer-worker.ts JOB`
 */
import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { sources, targets } from '../../adapters/registry.ts';
import { openDiskReader } from '../../src/blocks/disk-reader.ts';
import { NBD_CONNECTIONS, NBD_REQUESTS_IN_FLIGHT } from '../../src/blocks/nbd-client.ts';
import { BLOCK_BYTES } from '../../src/blocks/stream-encoder.ts';
import type { AdapterEnvironment, SourceAdapter, TargetAdapter } from '../../src/domain/adapter.ts';
import { type Job, type StepRef, stepKey } from '../../src/domain/job.ts';
import type { JsonObject } from '../../src/domain/json.ts';
import { newMachineRecord, type StepOutput } from '../../src/domain/machine-record.ts';
import type { Progress, Source, Target } from '../../src/domain/ports.ts';
import { openEvidence } from '../../src/evidence/evidence.ts';
import { makeScratchFolder } from '../../src/processes/scratch-folder.ts';
import { keepHeapSmall } from '../../src/processes/small-heap.ts';
import { openStepContext } from '../../src/queue/step-context.ts';
import { runStep } from '../../src/stages/run-step.ts';
import type { StepInput } from '../../src/stages/step-input.ts';
import { acquireLease, type Lease, type LeaseOf } from '../../src/state/lease.ts';
import { openState, type State } from '../../src/state/state.ts';
import { startProcessFigures } from './process-figures.ts';
import type { TransferJob, TransferMessage, UploadJob } from './transfer-job.ts';

/** As many as the client has requests under way. */
const READ_LANES = NBD_CONNECTIONS * NBD_REQUESTS_IN_FLIGHT;
const DISK = '0';

const stopped = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => stopped.abort());
// As every process with worker pools does.
keepHeapSmall();
await serve(JSON.parse(process.argv[2] ?? '') as TransferJob, stopped.signal);

async function serve(job: TransferJob, signal: AbortSignal): Promise<void> {
  switch (job.kind) {
    case 'read':
      return await readDisk(job.uri, signal);
    case 'upload':
      return await uploadDisk(job, signal);
    default:
      return job satisfies never;
  }
}

async function readDisk(uri: string, signal: AbortSignal): Promise<void> {
  tell({ kind: 'began' });
  const finish = await startProcessFigures();
  let readBytes = 0;
  {
    await using reader = await openDiskReader({ uri }, signal);
    const indexes = reader.dataBlocks(0, signal);
    const runLane = async (): Promise<void> => {
      const into = Buffer.allocUnsafeSlow(BLOCK_BYTES);
      for (;;) {
        const { value: index, done } = await indexes.next();
        if (done) return;
        await reader.readBlock(index, into, signal);
        readBytes += BLOCK_BYTES;
      }
    };
    await Promise.all(Array.from({ length: READ_LANES }, runLane));
  }
  const { writtenBytes: stagedBytes, ...figures } = await finish();
  tell({ kind: 'ended', figures: { ...figures, readBytes, artifactBytes: 0, stagedBytes } });
}

async function uploadDisk(job: UploadJob, signal: AbortSignal): Promise<void> {
  await using state = openState(job.redisUrl);
  await using scratch = await openScratch();
  await loadTarget(job);
  const attempt = { state, signal, work: await openWork(job, scratch.folder, signal) };
  const { prepared, images } = attempt.work.record;
  const finish = await startProcessFigures();
  const exported = await takeStep(attempt, { stage: 'export', disk: DISK });
  if (exported.stage === 'export') images[DISK] = exported.image;
  const converted = await takeStep(attempt, { stage: 'convert', disk: null });
  if (converted.stage === 'convert') Object.assign(prepared, converted.prepared);
  const uploaded = await takeStep(attempt, { stage: 'upload', disk: DISK });
  const { writtenBytes, ...figures } = await finish();
  const stagedBytes = writtenBytes + (await bytesUnder(job.stagingFolder));
  const artifactBytes = uploaded.stage === 'upload' ? uploaded.artifact.bytes : 0;
  const readBytes = prepared[DISK]?.dataBytes ?? 0;
  tell({ kind: 'ended', figures: { ...figures, readBytes, artifactBytes, stagedBytes } });
}

async function openScratch(): Promise<AsyncDisposable & { folder: string }> {
  const folder = await makeScratchFolder('bench');
  return { folder, [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }) };
}

type Work = Omit<StepInput, 'job' | 'context'>;
type Attempt = { state: State; work: Work; signal: AbortSignal };

/** As `plan` makes it of a wave with one machine. */
async function openWork(job: UploadJob, folder: string, signal: AbortSignal): Promise<Work> {
  const environment = { waveFolder: folder, scratchFolder: folder, cacheFolder: folder };
  const source = open(sources.files, {}, environment) as Source;
  const target = openTarget(job, environment);
  const from = { disks: [{ path: job.disk, format: 'raw' }] };
  const [machine] = await source.machines(from, signal);
  if (machine === undefined) throw new TypeError(`${job.disk} is no machine's disk`);
  const proof = { expect: [], refuse: [], deadlineSeconds: 60, checks: [] };
  const plan = {
    name: machine.name,
    from,
    to: {},
    export: 'in-place' as const,
    proof,
    group: null,
    after: [],
    shutdown: { graceSeconds: 1, force: false },
    onFailure: 'leave' as const,
    hooks: [],
  };
  return {
    record: newMachineRecord({
      run: job.run,
      position: 0,
      site: null,
      plan,
      machine,
      isControlled: false,
    }),
    source,
    target,
    // In the bucket, or with the sockets in memory: what this process writes to disks is staging and nothing else.
    evidence: openEvidence(
      job.azure === undefined ? `s3://${job.bucket}/evidence` : join(folder, 'evidence'),
    ),
    stagingFolder: job.stagingFolder,
    waveFolder: folder,
    holdOtherSteps: async () => ({ [Symbol.asyncDispose]: async () => {} }),
  };
}

/** A worker that has been at work for a while has its cloud's SDK: to load it takes half a second, once. */
async function loadTarget({ azure }: UploadJob): Promise<void> {
  if (azure === undefined) await import('../../adapters/targets/aws/target.ts');
  else await import('../../adapters/targets/azure/target.ts');
}

function openTarget({ azure, form, bucket }: UploadJob, environment: AdapterEnvironment): Target {
  if (azure !== undefined) return open(targets.azure, azure, environment) as Target;
  const via = form === 'blocks' ? 'ebs-direct' : 'import-snapshot';
  const region = process.env.AWS_REGION ?? '';
  return open(targets.aws, { region, bucket, via }, environment) as Target;
}

/** As a pool does it with a job from a queue. */
async function takeStep({ state, work, signal }: Attempt, ref: Omit<StepRef, 'pass'>): Promise<StepOutput> {
  const { run, machine } = work.record;
  const job: Job = { ...ref, run, machine: machine.name, pass: 0, try: 1 };
  const step = stepKey(job);
  await using lease = await waitForLease(state, { run, machine: machine.name, step }, signal);
  if (ref.stage === 'upload') tell({ kind: 'began' });
  const context = openStepContext({
    state,
    run,
    machine: machine.name,
    step,
    lease,
    signal: AbortSignal.any([signal, lease.signal]),
    report: createProgressTeller(),
  });
  const outcome = await runStep({ ...work, job, context });
  if (outcome.kind === 'done') return outcome.value;
  throw new TypeError(`${step} waits, as no stage of a bench does`);
}

async function waitForLease(state: State, of: LeaseOf, signal: AbortSignal): Promise<Lease> {
  for (;;) {
    const reply = await acquireLease(state.redis, of);
    if (reply.kind === 'held') return reply.lease;
    await sleep(reply.freeInMs + 1, undefined, { signal });
  }
}

/** A line for each percent: one for each block would be work of its own. */
function createProgressTeller(): (progress: Progress) => void {
  let told = -1;
  return ({ doneBytes, totalBytes }) => {
    const percent = Math.floor((100 * doneBytes) / Math.max(1, totalBytes));
    if (percent !== told) tell({ kind: 'progress', doneBytes, totalBytes });
    told = percent;
  };
}

async function bytesUnder(folder: string): Promise<number> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  const sizes = await Promise.all(
    files.map(async (file) => (await stat(join(file.parentPath, file.name))).size),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}

function open(
  adapter: SourceAdapter | TargetAdapter | undefined,
  options: JsonObject,
  environment: AdapterEnvironment,
): Source | Target {
  if (adapter === undefined) throw new TypeError('the registry lacks the adapters of the bench');
  return adapter.create(adapter.options.parse(options), environment);
}

function tell(message: TransferMessage): void {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}
