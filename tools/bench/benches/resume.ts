/**
 * What a kill costs: a worker is killed at half of a disk, and another goes on. Everything that both send is counted on
 * the wire; what is more than an undisturbed worker sends was sent again.
 */
import { BLOCK_BYTES } from '../../../src/blocks/stream-encoder.ts';
import { SAVE_EVERY_MS } from '../../../src/stages/copy-missing.ts';
import { MAX_UNSAVED_PARTS } from '../../../src/stages/upload-parts.ts';
import type { BenchGround } from '../bench-ground.ts';
import { type BenchRow, toRow } from '../bench-row.ts';
import type { Bench } from '../benches.ts';
import type { Cloud } from '../cloud.ts';
import { type CountingProxy, openCountingProxy } from '../counting-proxy.ts';
import { runTransfer, startTransfer, type TransferOptions } from '../transfer.ts';
import type { TransferFigures } from '../transfer-job.ts';

const GIB = 2 ** 30;
const MIB = 2 ** 20;
const MAX_FIRST_BYTE_S = 3;
/** The AWS target's first parts of 8 MiB, which may be 1 MiB longer. */
const MAX_PART_BYTES = 9 * MIB;
/** What the AWS target takes of blocks at once. */
const BLOCKS_AT_ONCE = 64;
/** How long one save of the digest ledger may take. */
const SAVE_MS = 50;

type Form = 'parts' | 'blocks';
type Proxied = { ground: BenchGround; cloud: Cloud; proxy: CountingProxy; disk: string; form: Form };

export const resume: Bench = {
  name: 'resume',
  summary: 'a worker killed at half: what its successor sends again, and when it begins',
  async run(ground) {
    const disk = await ground.guestDisk(ground.dataBytes(GIB));
    const rows: BenchRow[] = [];
    for (const form of ['parts', 'blocks'] as const) {
      await using cloud = await ground.openCloud();
      await using proxy = await openCountingProxy(cloud.url);
      rows.push(...(await measureKills({ ground, cloud, proxy, disk, form })));
    }
    return rows;
  },
};

async function measureKills(proxied: Proxied): Promise<BenchRow[]> {
  const { ground, proxy, form } = proxied;
  const undisturbed = ground.keep(await runTransfer(transferOf(proxied)));
  const neededBytes = proxy.sentBytes();
  const sentAgain: number[] = [];
  const firstBytes: number[] = [];
  for (let run = 0; run < ground.runs; run += 1) {
    const before = proxy.sentBytes();
    firstBytes.push((await killAndGoOn(proxied)) / 1000);
    sentAgain.push(Math.max(0, proxy.sentBytes() - before - neededBytes) / MIB);
  }
  return [
    toRow({
      name: `resume-${form}`,
      unit: 'MiB',
      each: { landfall: sentAgain, peer: [windowBytes(form, undisturbed) / MIB] },
      by: 'worst',
      against: 'the window',
      ratio: 'landfall/peer',
      goal: { of: 'ratio', atMost: 1 },
    }),
    toRow({
      name: `resume-${form}-begins`,
      unit: 's',
      each: { landfall: firstBytes, peer: [] },
      by: 'worst',
      against: 'nothing',
      ratio: 'none',
      goal: { of: 'landfall', atMost: MAX_FIRST_BYTE_S },
    }),
  ];
}

/** How long the successor's job took to send its first new byte. */
async function killAndGoOn(proxied: Proxied): Promise<number> {
  const { ground, proxy } = proxied;
  const transfer = transferOf(proxied);
  await killAtHalf(transfer);
  let firstByteMs: Promise<number> | null = null;
  const figures = await runTransfer({
    ...transfer,
    onMessage({ kind }) {
      if (kind !== 'began') return;
      const beganAt = performance.now();
      firstByteMs = proxy.nextPut(ground.signal).then(() => performance.now() - beganAt);
    },
  });
  ground.keep(figures);
  if (firstByteMs === null) throw new Error('A worker ended without having begun');
  return await firstByteMs;
}

async function killAtHalf(transfer: TransferOptions): Promise<void> {
  const half = Promise.withResolvers<void>();
  await using worker = await startTransfer({
    ...transfer,
    onMessage(message) {
      if (
        message.kind === 'progress' &&
        message.totalBytes > 0 &&
        2 * message.doneBytes >= message.totalBytes
      )
        half.resolve();
    },
  });
  await Promise.race([half.promise, worker.exited]);
  process.kill(worker.pid, 'SIGKILL');
  const { endedBy, stderr } = await worker.exited;
  if (endedBy !== 'SIGKILL') throw new Error(`A worker ended before it was killed: ${stderr}`);
}

function transferOf({ ground, cloud, proxy, disk, form }: Proxied): TransferOptions {
  return {
    job: ground.uploadJob({ cloud, disk, form }),
    environment: { ...ground.environmentOf(cloud), AWS_ENDPOINT_URL: proxy.url },
    signal: ground.signal,
  };
}

/** The most that may be sent again. Blocks: those under way, and those that no save of the digest ledger has seen yet. */
function windowBytes(form: Form, { readBytes, elapsedMs }: TransferFigures): number {
  switch (form) {
    case 'parts':
      return MAX_UNSAVED_PARTS * MAX_PART_BYTES;
    case 'blocks':
      return BLOCKS_AT_ONCE * BLOCK_BYTES + (readBytes / elapsedMs) * (SAVE_EVERY_MS + SAVE_MS);
    default:
      return form satisfies never;
  }
}
