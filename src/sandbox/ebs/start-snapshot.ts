/** https://docs.aws.amazon.com/ebs/latest/APIReference/API_StartSnapshot.html */
import { z } from 'zod';
import type { JsonObject } from '../../domain/json.ts';
import { readToken } from '../ec2/idempotency.ts';
import { TOKEN_LIFE_MS } from '../ec2/instance-lookup.ts';
import { newId } from '../ec2/refusals.ts';
import { type Ec2State, GIB, type IdempotencyKey, type Snapshot, type Tags } from '../ec2/state.ts';
import { Refusal } from '../refusal.ts';
import { BLOCK_BYTES } from './block-file.ts';
import type { EbsDesk } from './desk.ts';
import {
  type InvalidReason,
  invalid,
  invalidParameter,
  noSuchSnapshot,
  quotaExceeded,
  tokenConflict,
} from './refusals.ts';
import { checkSnapshotId } from './requests.ts';

/** 64 TiB. */
const MAX_VOLUME_GIB = 65_536;
const DEFAULT_TIMEOUT_MINUTES = 60;
const MAX_TAGS = 50;

const body = z.strictObject({
  VolumeSize: z.int().min(1).max(MAX_VOLUME_GIB),
  ParentSnapshotId: z.string().optional(),
  Tags: z
    .array(z.strictObject({ Key: z.string().min(1).max(127), Value: z.string().max(255).optional() }))
    .optional(),
  Description: z.string().max(255).optional(),
  // The user guide says 64 characters, the model 255: the narrower one.
  ClientToken: z
    .string()
    .max(64)
    .regex(/^[\x21-\x7e]+$/)
    .optional(),
  Encrypted: z.boolean().optional(),
  KmsKeyArn: z
    .string()
    .max(2048)
    .regex(/^arn:aws[a-z-]*:kms:.*:[0-9]{12}:key\/.+$/)
    .optional(),
  Timeout: z.int().min(10).max(4320).optional(),
});
type Input = z.output<typeof body>;

export async function startSnapshot(desk: EbsDesk, payload: Buffer): Promise<JsonObject> {
  const { ClientToken, ...input } = readInput(payload);
  checkEncryption(input);
  const tags = readTags(input.Tags ?? []);
  const key = readToken(ClientToken, input);
  await desk.writes.settle();
  const { answer, startedId } = await desk.store.update((state) => {
    forgetTokens(state, desk.clock.now());
    const earlier = findEarlier(state, key);
    if (earlier !== null) return { answer: earlier, startedId: null };
    checkQuota(state, desk.limits.pendingSnapshots);
    const snapshot = createSnapshot({ desk, input, parent: findParent(state, input), tags });
    const answer = describe({ snapshot, ownerId: desk.accountId });
    state.snapshots[snapshot.id] = snapshot;
    if (key !== null) {
      state.startedSnapshots ??= {};
      state.startedSnapshots[key.token] = {
        parameters: key.parameters,
        answer,
        startedAt: snapshot.createdAt,
      };
    }
    return { answer, startedId: snapshot.id };
  });
  if (startedId !== null) await makeFiles(desk, { id: startedId, key });
  return answer;
}

function readInput(payload: Buffer): Input {
  const result = body.safeParse(parseJson(payload));
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const name = String(issue?.path[0] ?? '');
  if (issue?.code === 'unrecognized_keys')
    throw invalidParameter(`The parameter ${[...issue.path, issue.keys[0]].join('.')} is not recognized.`);
  const reasons: Readonly<Record<string, InvalidReason>> = {
    VolumeSize: 'INVALID_VOLUME_SIZE',
    Tags: 'INVALID_TAG',
  };
  const reason = reasons[name] ?? 'INVALID_PARAMETER_VALUE';
  throw invalid(reason, `The parameter ${issue?.path.join('.')} is missing or invalid: ${issue?.message}.`);
}

function parseJson(payload: Buffer): unknown {
  try {
    return JSON.parse(payload.toString('utf8'));
  } catch {
    throw new Refusal({ status: 400, code: 'SerializationException', message: 'The body is not JSON.' });
  }
}

/** https://docs.aws.amazon.com/ebs/latest/userguide/ebsapis-using-encryption.html */
function checkEncryption({ ParentSnapshotId: parent, Encrypted, KmsKeyArn }: Input): void {
  if (parent !== undefined) {
    checkSnapshotId(parent);
    if (Encrypted !== undefined || KmsKeyArn !== undefined)
      throw invalidParameter('A snapshot is encrypted as its parent: say neither Encrypted nor KmsKeyArn.');
  }
  if (KmsKeyArn !== undefined && Encrypted !== true)
    throw invalidParameter('KmsKeyArn is only taken with Encrypted.');
}

function readTags(given: NonNullable<Input['Tags']>): Tags {
  const tags: Tags = {};
  for (const { Key, Value = '' } of given) {
    if (/^aws:/i.test(Key)) throw invalid('INVALID_TAG', 'Tag keys that start with "aws:" are reserved.');
    if (Object.hasOwn(tags, Key)) throw invalid('INVALID_TAG', `The tag key '${Key}' is given twice.`);
    tags[Key] = Value;
  }
  if (given.length > MAX_TAGS) throw invalid('INVALID_TAG', `A snapshot has at most ${MAX_TAGS} tags.`);
  return tags;
}

function forgetTokens({ startedSnapshots = {} }: Ec2State, now: number): void {
  for (const [token, { startedAt }] of Object.entries(startedSnapshots)) {
    if (startedAt < now - TOKEN_LIFE_MS) delete startedSnapshots[token];
  }
}

/** The first answer, whatever became of the snapshot since. */
function findEarlier({ startedSnapshots = {} }: Ec2State, key: IdempotencyKey | null): JsonObject | null {
  if (key === null || !Object.hasOwn(startedSnapshots, key.token)) return null;
  const earlier = startedSnapshots[key.token];
  if (earlier?.parameters !== key.parameters) throw tokenConflict();
  return earlier.answer;
}

function checkQuota({ snapshots }: Ec2State, limit: number): void {
  const pending = Object.values(snapshots).filter(
    ({ state, writing }) => state === 'pending' && writing !== undefined,
  );
  if (pending.length >= limit)
    throw quotaExceeded(`The account has ${pending.length} pending snapshots, and may have ${limit}.`);
}

function findParent(state: Ec2State, { ParentSnapshotId: id, VolumeSize }: Input): Snapshot | null {
  if (id === undefined) return null;
  const parent = Object.hasOwn(state.snapshots, id) ? state.snapshots[id] : undefined;
  if (parent === undefined) throw noSuchSnapshot(id);
  if (parent.state !== 'completed')
    throw invalid('INVALID_SNAPSHOT_ID', `The parent snapshot '${id}' is not completed.`);
  if (VolumeSize < parent.volumeSizeGib) {
    const message = `VolumeSize is ${VolumeSize} GiB, less than the ${parent.volumeSizeGib} GiB of its parent.`;
    throw invalid('INVALID_VOLUME_SIZE', message);
  }
  return parent;
}

function createSnapshot({
  desk,
  input,
  parent,
  tags,
}: {
  desk: EbsDesk;
  input: Input;
  parent: Snapshot | null;
  tags: Tags;
}): Snapshot {
  const id = newId('snapshot');
  const now = desk.clock.now();
  return {
    id,
    state: 'pending',
    bytes: input.VolumeSize * GIB,
    volumeSizeGib: input.VolumeSize,
    description: input.Description ?? '',
    encrypted: parent?.encrypted ?? input.Encrypted ?? false,
    kmsKeyId: parent === null ? (input.KmsKeyArn ?? null) : parent.kmsKeyId,
    tags,
    createdAt: now,
    completedAt: null,
    writing: {
      parentId: parent?.id ?? null,
      lineage: parent?.writing?.lineage ?? parent?.id ?? id,
      timeoutMinutes: input.Timeout ?? DEFAULT_TIMEOUT_MINUTES,
      touchedAt: now,
      progress: 0,
      completion: null,
    },
  };
}

function describe({ snapshot, ownerId }: { snapshot: Snapshot; ownerId: string }): JsonObject {
  const { id, createdAt, volumeSizeGib, description, encrypted, kmsKeyId, tags, writing } = snapshot;
  return {
    SnapshotId: id,
    OwnerId: ownerId,
    Status: 'pending',
    StartTime: createdAt / 1000,
    VolumeSize: volumeSizeGib,
    BlockSize: BLOCK_BYTES,
    Description: description,
    Tags: Object.entries(tags).map(([Key, Value]) => ({ Key, Value })),
    SseType: encrypted ? 'sse-kms' : 'none',
    ...(writing?.parentId ? { ParentSnapshotId: writing.parentId } : {}),
    ...(kmsKeyId === null ? {} : { KmsKeyArn: kmsKeyId }),
  };
}

/** A volume that the file system cannot hold leaves no record. */
async function makeFiles(
  { writes, store }: EbsDesk,
  { id, key }: { id: string; key: IdempotencyKey | null },
): Promise<void> {
  try {
    await writes.open(id);
  } catch (error) {
    await store.update((state) => {
      delete state.snapshots[id];
      if (key !== null) delete state.startedSnapshots?.[key.token];
    });
    await writes.discard(id);
    throw error;
  }
}
