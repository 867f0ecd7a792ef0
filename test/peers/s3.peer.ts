/**
 * The S3 half of the target contract against versitygw, with its checksums on. EC2, which the contract asks what a run
 * left behind, is the sandbox's: no upload passes through it.
 */

import { hash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  AbortMultipartUploadCommand,
  CreateBucketCommand,
  GetObjectCommand,
  HeadObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { awsTarget } from '../../adapters/targets/aws/aws.ts';
import { crc32, crc32ToBase64 } from '../../src/blocks/crc32.ts';
import type { UploadForm } from '../../src/domain/image.ts';
import type { Target, UploadRequest } from '../../src/domain/ports.ts';
import { provideVersitygw, startVersitygw } from '../../tools/peers/versitygw.ts';
import { openSandboxGround, REGION } from '../adapters/targets/aws/sandbox-ground.ts';
import {
  contextOf,
  DISK_BYTES,
  makeDisk,
  type Payload,
  piecesOf,
  removeAll,
  uploadAll,
  uploadThrough,
  writePieces,
} from '../adapters/targets/drive-target.ts';
import { machineWith } from '../adapters/targets/machines.ts';
import { describeUploads } from '../adapters/targets/upload-contract.ts';
import { createDurableState } from '../fakes/step-context.ts';
import { peerOptions } from './peer-cache.ts';
import { replaceVariables } from './peer-environment.ts';

const BUCKET = 'landfall-peer';

describe('target aws at versitygw', () => {
  const owned = new AsyncDisposableStack();
  let target: Target;
  let form: UploadForm;
  let disk: Payload;
  let s3: S3Client;
  const uploadOf = (payload: Payload, diskId = '0'): UploadRequest => ({
    machine: machineWith({ diskCount: 2 }),
    disk: diskId,
    diskBytes: DISK_BYTES,
    to: {},
    form,
    contentId: hash('sha256', payload),
    maxFileBytes: payload.length,
  });

  beforeAll(async () => {
    const options = peerOptions();
    const program = await provideVersitygw(options);
    const folder = await mkdtemp(join(tmpdir(), 'landfall-versitygw-'));
    owned.defer(() => rm(folder, { recursive: true, force: true }));
    const { sandbox } = owned.use(await openSandboxGround());
    const { credentials } = sandbox;
    const { signal } = options;
    const { url } = owned.use(await startVersitygw({ program, folder, region: REGION, credentials, signal }));
    owned.use(replaceVariables({ AWS_ENDPOINT_URL_S3: url }));
    s3 = new S3Client({ endpoint: url, region: REGION, credentials, forcePathStyle: true });
    owned.defer(() => s3.destroy());
    const CreateBucketConfiguration = { LocationConstraint: REGION } as const;
    await s3.send(new CreateBucketCommand({ Bucket: BUCKET, CreateBucketConfiguration }));
    const folders = { waveFolder: folder, scratchFolder: folder, cacheFolder: folder };
    target = awsTarget.create(
      awsTarget.options.parse({ region: REGION, bucket: BUCKET, partSizeMiB: 5 }),
      folders,
    );
    form = target.uploadForm({ bytes: DISK_BYTES, to: {} });
    disk = (await makeDisk(folder, form)).payload;
  });
  afterAll(() => owned.disposeAsync());

  describeUploads('parts', () => ({ target, form, disk, uploadOf }));

  test('its CRC-32 of the full object is the one that was combined from the parts', async () => {
    const context = contextOf('checksums');
    const artifact = await uploadAll(target, uploadOf(disk), context, disk);
    expect(artifact.digests).toMatchObject([{ algorithm: 'crc32', isConfirmed: true }]);
    const object = { Bucket: String(artifact.ref.bucket), Key: String(artifact.ref.key) };
    const head = await s3.send(new HeadObjectCommand({ ...object, ChecksumMode: 'ENABLED' }));
    expect(head).toMatchObject({
      ChecksumType: 'FULL_OBJECT',
      ChecksumCRC32: crc32ToBase64(crc32(disk)),
      ContentLength: disk.length,
    });
    const { Body } = await s3.send(new GetObjectCommand(object));
    expect(Buffer.from((await Body?.transformToByteArray()) ?? []).equals(disk)).toBe(true);
    await removeAll(target, 'checksums');
  });

  test('an upload that was given up meanwhile starts anew', async () => {
    const state = createDurableState();
    const first = await target.openUpload(uploadOf(disk), contextOf('expired', { state }));
    await writePieces(first, disk, piecesOf(first, disk).slice(0, 1));
    const [entry] = await contextOf('expired', { state }).ledger.entries();
    const UploadId = first.id;
    await s3.send(
      new AbortMultipartUploadCommand({ Bucket: BUCKET, Key: String(entry?.ref?.key), UploadId }),
    );
    const again = await target.openUpload(uploadOf(disk), contextOf('expired', { state }));
    expect(again.id).not.toBe(first.id);
    await expect(uploadThrough(again, disk)).resolves.toMatchObject({ bytes: disk.length });
    await removeAll(target, 'expired');
  });
});
