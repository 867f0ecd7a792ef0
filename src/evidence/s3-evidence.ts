/** Evidence in an S3 bucket. Credentials, region and endpoint come by the SDK's own chain. */
import { addAbortSignal, Readable } from 'node:stream';
import {
  GetObjectCommand,
  NoSuchKey,
  PutObjectCommand,
  paginateListObjectsV2,
  S3Client,
  S3ServiceException,
} from '@aws-sdk/client-s3';
import { LandfallError } from '../domain/errors.ts';
import type { Evidence } from '../domain/ports.ts';
import { checkEvidencePath, checkEvidencePrefix } from './evidence-path.ts';

export type S3Place = { bucket: string /** '' or ends with `/`. */; prefix: string };

const CONNECTION_TIMEOUT_MS = 5_000;
/** Evidence is small (a screenshot, a digest tree of some MiB): a minute without an answer means that it is lost. */
const REQUEST_TIMEOUT_MS = 60_000;
const MAX_ATTEMPTS = 5;

/** An object is replaced as a whole: readers see the old one or the new one. */
export function openS3Evidence({ bucket, prefix }: S3Place): Evidence {
  const s3 = new S3Client({
    maxAttempts: MAX_ATTEMPTS,
    followRegionRedirects: true,
    // Servers at an address of their own seldom answer for `BUCKET.HOST`; the path works everywhere.
    forcePathStyle: [process.env.AWS_ENDPOINT_URL_S3, process.env.AWS_ENDPOINT_URL].some(Boolean),
    requestHandler: {
      connectionTimeout: CONNECTION_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      throwOnRequestTimeout: true,
    },
  });
  const keyOf = (path: string): string => prefix + checkEvidencePath(path);
  const locate = (path: string): string => `s3://${bucket}/${keyOf(path)}`;
  return {
    locate,
    async put(path, bytes, signal) {
      // Bytes, not a stream: only those can be sent again when the connection breaks.
      const body = typeof bytes === 'string' ? Buffer.from(bytes) : bytes;
      const command = new PutObjectCommand({
        Bucket: bucket,
        Key: keyOf(path),
        Body: body,
        ContentType: typeOf(path),
      });
      await guard({ doing: 'write', place: locate(path), action: 's3:PutObject', signal }, (options) =>
        s3.send(command, options),
      );
    },
    get: (path, signal) =>
      guard({ doing: 'read', place: locate(path), action: 's3:GetObject', signal }, async (options) => {
        try {
          const { Body } = await s3.send(new GetObjectCommand({ Bucket: bucket, Key: keyOf(path) }), options);
          // The SDK lets go of the signal once the headers are there.
          if (signal !== undefined && Body instanceof Readable) addAbortSignal(signal, Body);
          return (await Body?.transformToByteArray()) ?? new Uint8Array();
        } catch (error) {
          if (error instanceof NoSuchKey) return null;
          throw error;
        }
      }),
    list: (path, signal) => {
      const listing = { doing: 'list', place: `s3://${bucket}/${prefix}`, action: 's3:ListBucket', signal };
      return guard(listing, async (options) => {
        const paths: string[] = [];
        const request = { Bucket: bucket, Prefix: prefix + checkEvidencePrefix(path) };
        for await (const page of paginateListObjectsV2({ client: s3 }, request, options)) {
          for (const { Key } of page.Contents ?? []) if (Key) paths.push(Key.slice(prefix.length));
        }
        return paths.sort();
      });
    },
  };
}

type Request = { doing: string; place: string; action: string; signal: AbortSignal | undefined };

async function guard<T>(
  { doing, place, action, signal }: Request,
  work: (options: { abortSignal?: AbortSignal }) => Promise<T>,
): Promise<T> {
  try {
    return await work(signal === undefined ? {} : { abortSignal: signal });
  } catch (error) {
    signal?.throwIfAborted();
    if (error instanceof LandfallError) throw error;
    const { reason, remedy, retryable } = judge(error, action);
    throw new LandfallError({
      code: 'evidence-unavailable',
      message: `Landfall could not ${doing} the evidence ${place} (${reason}). ${remedy}`,
      retryable,
      cause: error,
      context: { place },
    });
  }
}

/** The SDK has retried what may pass by itself; what is left is told with its remedy. */
function judge(error: unknown, action: string): { reason: string; remedy: string; retryable: boolean } {
  const { name, message } = error instanceof Error ? error : new Error(String(error));
  const reason = name === 'Error' ? message : `${name}: ${message}`;
  const status = error instanceof S3ServiceException ? error.$metadata.httpStatusCode : undefined;
  if (name === 'NoSuchBucket') {
    const remedy = 'Create the bucket, or correct LANDFALL_EVIDENCE.';
    return { reason, remedy, retryable: false };
  }
  if (status === 403 || status === 401) {
    const remedy = `Grant ${action} to the credentials that are used here, or use others.`;
    return { reason, remedy, retryable: false };
  }
  if (name === 'CredentialsProviderError') {
    const remedy = 'There must be AWS credentials here (environment, shared file or instance role).';
    return { reason, remedy, retryable: false };
  }
  if (message.includes('Region is missing')) {
    return { reason, remedy: 'Set AWS_REGION to the region of the bucket.', retryable: false };
  }
  return { reason, remedy: 'Is the endpoint reachable from here? It is tried again.', retryable: true };
}

/** So that a browser shows proofs instead of downloading them. */
function typeOf(path: string): string {
  if (path.endsWith('.png')) return 'image/png';
  if (path.endsWith('.json')) return 'application/json';
  return path.endsWith('.txt') ? 'text/plain; charset=utf-8' : 'application/octet-stream';
}
