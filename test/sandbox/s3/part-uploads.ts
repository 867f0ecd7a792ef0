/** Multipart uploads as the tests of S3 make them, with the vendor's client. */
import { randomBytes } from 'node:crypto';
import { crc32 } from 'node:zlib';
import * as s3 from '@aws-sdk/client-s3';

export const Bucket = 'acme-mig';
export const MIB = 1024 * 1024;
/** The least that a part may have when it is not the last. */
export const BIG = randomBytes(5 * MIB);
export const TAIL = randomBytes(12_345);
export const FULL = { ChecksumAlgorithm: 'CRC32', ChecksumType: 'FULL_OBJECT' } as const;

export type Address = { Bucket: string; Key: string; UploadId: string };
type Completion = Partial<s3.CompleteMultipartUploadCommandInput>;

/** `client` is asked each time: a test that restarts its sandbox changes it. */
export function createUploads(client: () => s3.S3Client) {
  async function start(
    Key: string,
    more: Partial<s3.CreateMultipartUploadCommandInput> = {},
  ): Promise<Address> {
    const { UploadId = '' } = await client().send(
      new s3.CreateMultipartUploadCommand({ Bucket, Key, ...more }),
    );
    return { Bucket, Key, UploadId };
  }

  async function send({
    address,
    number,
    body,
    more = {},
  }: {
    address: Address;
    number: number;
    body: Uint8Array;
    more?: Partial<s3.UploadPartCommandInput>;
  }): Promise<s3.CompletedPart> {
    const { ETag, ChecksumCRC32, ChecksumSHA256 } = await client().send(
      new s3.UploadPartCommand({
        ...address,
        PartNumber: number,
        Body: body,
        ChecksumAlgorithm: 'CRC32',
        ...more,
      }),
    );
    return {
      PartNumber: number,
      ...(ETag === undefined ? {} : { ETag }),
      ...(ChecksumCRC32 === undefined ? {} : { ChecksumCRC32 }),
      ...(ChecksumSHA256 === undefined ? {} : { ChecksumSHA256 }),
    };
  }

  function complete(address: Address, Parts: s3.CompletedPart[], more: Completion = {}) {
    return client().send(
      new s3.CompleteMultipartUploadCommand({ ...address, MultipartUpload: { Parts }, ...more }),
    );
  }

  async function bytesOf(Key: string): Promise<Buffer> {
    const { Body } = await client().send(new s3.GetObjectCommand({ Bucket, Key }));
    return Buffer.from((await Body?.transformToByteArray()) ?? []);
  }

  /** An upload of two parts, ready to be completed. */
  async function twoParts(Key: string): Promise<{ address: Address; parts: s3.CompletedPart[] }> {
    const address = await start(Key, FULL);
    const second = await send({ address, number: 2, body: TAIL });
    const first = await send({ address, number: 1, body: BIG });
    return { address, parts: [first, second] };
  }

  return { start, send, complete, bytesOf, twoParts };
}

export function crcOf(...pieces: Uint8Array[]): string {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(pieces.reduce((sum, piece) => crc32(piece, sum), 0));
  return bytes.toString('base64');
}
