import { cp, mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as s3 from '@aws-sdk/client-s3';
import { expect, it } from 'vitest';
import { startFixture } from '../server-fixture.ts';

const Bucket = 'acme-mig';

async function startWithUpload() {
  const fixture = await startFixture({ region: 'us-east-1' });
  const client = fixture.s3();
  await client.send(new s3.CreateBucketCommand({ Bucket }));
  const { UploadId = '' } = await client.send(new s3.CreateMultipartUploadCommand({ Bucket, Key: 'disk' }));
  const address = { Bucket, Key: 'disk', UploadId };
  const { ETag = '' } = await client.send(
    new s3.UploadPartCommand({ ...address, PartNumber: 1, Body: 'part one' }),
  );
  return { fixture, client, address, Parts: [{ PartNumber: 1, ETag }], folder: join(fixture.folder, 's3') };
}

it('drops an upload whose object stands already', async () => {
  const { fixture, client, address, Parts, folder } = await startWithUpload();
  await using own = fixture;
  const kept = join(fixture.folder, 'copy');
  await cp(join(folder, 'uploads'), kept, { recursive: true });
  await client.send(new s3.CompleteMultipartUploadCommand({ ...address, MultipartUpload: { Parts } }));
  await own.sandbox.stop();
  await cp(kept, join(folder, 'uploads'), { recursive: true });
  await own.restart();
  await expect(own.s3().send(new s3.ListPartsCommand(address))).rejects.toMatchObject({
    name: 'NoSuchUpload',
  });
  expect(await readdir(join(folder, 'uploads'))).toEqual([]);
  const { Body } = await own.s3().send(new s3.GetObjectCommand({ Bucket, Key: 'disk' }));
  expect(await Body?.transformToString()).toBe('part one');
});

it('drops bytes that no description names, and keeps the others', async () => {
  const { fixture, address, folder } = await startWithUpload();
  await using own = fixture;
  const upload = join(folder, 'uploads', address.UploadId);
  await own.s3().send(new s3.PutObjectCommand({ Bucket, Key: 'whole', Body: 'whole' }));
  await own.sandbox.stop();
  await writeFile(join(folder, 'incoming', 'half'), 'half');
  await writeFile(join(folder, 'data', 'nameless'), 'half');
  await writeFile(join(upload, '2-nameless'), 'half');
  await mkdir(join(folder, 'uploads', 'never-described'));
  await own.restart();
  expect(await readdir(join(folder, 'incoming'))).toEqual([]);
  expect(await readdir(join(folder, 'data'))).toHaveLength(1);
  expect(await readdir(join(folder, 'uploads'))).toEqual([address.UploadId]);
  expect((await readdir(upload)).filter((name) => name.startsWith('2'))).toEqual([]);
  const { Parts } = await own.s3().send(new s3.ListPartsCommand(address));
  expect(Parts).toMatchObject([{ PartNumber: 1, Size: 8 }]);
});

it('says which file it cannot read', async () => {
  const { fixture, folder } = await startWithUpload();
  await using own = fixture;
  await own.sandbox.stop();
  const file = join(folder, 'buckets.json');
  await cp(file, `${file}.good`);
  await writeFile(file, '{"acme');
  await expect(own.restart()).rejects.toMatchObject({ message: expect.stringContaining(file) });
  await cp(`${file}.good`, file);
  await own.restart();
});
