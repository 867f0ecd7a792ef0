/** Blocks to write, and the commands that write and read them, as a client of EBS direct sends them. */
import { createHash, hash } from 'node:crypto';
import * as ebs from '@aws-sdk/client-ebs';
import { DescribeSnapshotsCommand, type EC2Client, type Snapshot } from '@aws-sdk/client-ec2';

export const BLOCK_BYTES = 512 * 1024;
export const FAST = { sealingMs: 20, ebsRequestsPerSecond: { StartSnapshot: 1000, CompleteSnapshot: 1000 } };

export function block(fill: number): Buffer {
  return Buffer.alloc(BLOCK_BYTES, fill);
}

export function checksumOf(bytes: Buffer): string {
  return hash('sha256', bytes, 'base64');
}

/** Over the blocks' digests, in the order given. */
export function linearOf(blocks: readonly Buffer[]): string {
  const linear = createHash('sha256');
  for (const bytes of blocks) linear.update(hash('sha256', bytes, 'buffer'));
  return linear.digest('base64');
}

export async function start(
  client: ebs.EBSClient,
  input: Partial<ebs.StartSnapshotCommandInput> = {},
): Promise<string> {
  const { SnapshotId = '' } = await client.send(new ebs.StartSnapshotCommand({ VolumeSize: 1, ...input }));
  return SnapshotId;
}

export function put(
  SnapshotId: string,
  BlockIndex: number,
  bytes: Buffer,
  more: Partial<ebs.PutSnapshotBlockCommandInput> = {},
): ebs.PutSnapshotBlockCommand {
  return new ebs.PutSnapshotBlockCommand({
    SnapshotId,
    BlockIndex,
    BlockData: bytes,
    DataLength: BLOCK_BYTES,
    Checksum: checksumOf(bytes),
    ChecksumAlgorithm: 'SHA256',
    ...more,
  });
}

export function complete(
  SnapshotId: string,
  ChangedBlocksCount: number,
  Checksum?: string,
): ebs.CompleteSnapshotCommand {
  const checksum =
    Checksum === undefined
      ? {}
      : { Checksum, ChecksumAlgorithm: 'SHA256' as const, ChecksumAggregationMethod: 'LINEAR' as const };
  return new ebs.CompleteSnapshotCommand({ SnapshotId, ChangedBlocksCount, ...checksum });
}

/** A completed snapshot of these blocks. */
export async function makeSnapshot(
  clients: { ebs: ebs.EBSClient; ec2: EC2Client },
  blocks: ReadonlyMap<number, Buffer>,
  input: Partial<ebs.StartSnapshotCommandInput> = {},
): Promise<string> {
  const id = await start(clients.ebs, input);
  for (const [index, bytes] of blocks) await clients.ebs.send(put(id, index, bytes));
  await clients.ebs.send(complete(id, blocks.size));
  await untilState(clients.ec2, id, 'completed');
  return id;
}

export async function describeSnapshot(client: EC2Client, id: string): Promise<Snapshot> {
  const { Snapshots = [] } = await client.send(new DescribeSnapshotsCommand({ SnapshotIds: [id] }));
  return Snapshots[0] ?? {};
}

export async function untilState(client: EC2Client, id: string, state: string): Promise<Snapshot> {
  for (const deadline = Date.now() + 20_000; ; ) {
    const snapshot = await describeSnapshot(client, id);
    if (snapshot.State === state) return snapshot;
    if (Date.now() > deadline) throw new Error(`${id} is still ${snapshot.State}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Every block that is listed, by index, as it is read back. */
export async function readAll(client: ebs.EBSClient, SnapshotId: string): Promise<Map<number, Buffer>> {
  const found = new Map<number, Buffer>();
  let NextToken: string | undefined;
  do {
    const page = await client.send(new ebs.ListSnapshotBlocksCommand({ SnapshotId, NextToken }));
    for (const { BlockIndex = -1, BlockToken } of page.Blocks ?? []) {
      found.set(BlockIndex, await readBlock(client, { SnapshotId, BlockIndex, BlockToken }));
    }
    NextToken = page.NextToken;
  } while (NextToken !== undefined);
  return found;
}

export async function readBlock(
  client: ebs.EBSClient,
  input: ebs.GetSnapshotBlockCommandInput,
): Promise<Buffer> {
  const answer = await client.send(new ebs.GetSnapshotBlockCommand(input));
  const bytes = Buffer.from((await answer.BlockData?.transformToByteArray()) ?? []);
  if (answer.Checksum !== checksumOf(bytes) || answer.DataLength !== bytes.length)
    throw new Error('the block is not what its headers say');
  return bytes;
}
