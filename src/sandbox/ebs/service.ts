/**
 * The sandbox's EBS direct: snapshots written and read block by block. Its snapshots are EC2's, in EC2's state and
 * folder, so that what is written here is described, registered and booted there, and the other way round.
 * https://docs.aws.amazon.com/ebs/latest/APIReference/Welcome.html, version 2019-11-02
 */
import type { Ec2Cloud } from '../ec2/cloud.ts';
import type { HttpAnswer, HttpRequest } from '../http.ts';
import type { EbsBody } from './block-body.ts';
import { BLOCK_BYTES } from './block-file.ts';
import { answerJson, type EbsDesk } from './desk.ts';
import { getSnapshotBlock, listChangedBlocks, listSnapshotBlocks } from './read-blocks.ts';
import { invalid, invalidParameter } from './refusals.ts';
import { createRequestRates } from './request-rates.ts';
import {
  type EbsCall,
  readCall,
  readChecksum,
  readHeader,
  readWhole,
  requireHeader,
  requireOnly,
} from './requests.ts';
import type { SnapshotWrites } from './snapshot-writes.ts';
import { startSnapshot } from './start-snapshot.ts';
import { createTokens } from './tokens.ts';

export type EbsOptions = {
  cloud: Ec2Cloud;
  writes: SnapshotWrites;
  /** Proves that a token is ours. */
  secret: string;
};

export type Ebs = {
  /** What is asked, before who asks and without touching the body. Throws a Refusal. */
  understand(http: HttpRequest): EbsCall;
  /** Throws RequestThrottledException. */
  admit(call: EbsCall): void;
  /** Throws a Refusal. The request's signature was found true. */
  answer(call: EbsCall, request: { http: HttpRequest; body: EbsBody }): Promise<HttpAnswer>;
};

export function createEbs({ cloud, writes, secret }: EbsOptions): Ebs {
  const desk: EbsDesk = { ...cloud, writes, tokens: createTokens(secret) };
  const rates = createRequestRates(cloud.limits.ebsRequestsPerSecond);
  return {
    understand: readCall,
    admit: ({ action }) => rates.admit(action),
    async answer(call, { http, body }) {
      switch (call.action) {
        case 'StartSnapshot':
          return answerJson(201, await startSnapshot(desk, Buffer.concat(body.pieces)));
        case 'PutSnapshotBlock':
          return putSnapshotBlock({ desk, call, http, body });
        case 'CompleteSnapshot':
          return completeSnapshot({ desk, call, http });
        case 'GetSnapshotBlock':
          return getSnapshotBlock({ desk, call, http });
        case 'ListSnapshotBlocks':
          return listSnapshotBlocks({ desk, call, http });
        case 'ListChangedBlocks':
          return listChangedBlocks({ desk, call, http });
        default:
          return call.action satisfies never;
      }
    },
  };
}

/** https://docs.aws.amazon.com/ebs/latest/APIReference/API_PutSnapshotBlock.html */
async function putSnapshotBlock({
  desk,
  call,
  http,
  body,
}: {
  desk: EbsDesk;
  call: EbsCall;
  http: HttpRequest;
  body: EbsBody;
}): Promise<HttpAnswer> {
  const checksum = requireHeader(http, 'x-amz-checksum');
  const algorithm = requireHeader(http, 'x-amz-checksum-algorithm');
  requireOnly({ name: 'ChecksumAlgorithm', value: algorithm, wanted: 'SHA256' });
  const dataLength = requireHeader(http, 'x-amz-data-length');
  requireOnly({ name: 'DataLength', value: dataLength, wanted: String(BLOCK_BYTES) });
  const progress = readProgress(readHeader(http, 'x-amz-progress'));
  const sha256 = readChecksum(checksum);
  if (body.lengthBytes !== BLOCK_BYTES) {
    throw invalid('INVALID_BLOCK', `DataLength is ${BLOCK_BYTES}, but ${body.lengthBytes} bytes came.`);
  }
  if (!body.sha256.equals(sha256)) {
    throw invalid('INVALID_BLOCK', 'The checksum is not that of the data that came.');
  }
  const block = { index: call.blockIndex ?? 0, sha256, pieces: body.pieces, progress };
  await desk.writes.write(call.snapshotId, block);
  const headers = { 'x-amz-checksum': checksum, 'x-amz-checksum-algorithm': 'SHA256' };
  return { status: 201, headers, body: { kind: 'text', text: '{}' } };
}

/** https://docs.aws.amazon.com/ebs/latest/APIReference/API_CompleteSnapshot.html */
async function completeSnapshot({
  desk,
  call,
  http,
}: {
  desk: EbsDesk;
  call: EbsCall;
  http: HttpRequest;
}): Promise<HttpAnswer> {
  const count = requireHeader(http, 'x-amz-changedblockscount');
  const checksum = readHeader(http, 'x-amz-checksum');
  const algorithm = readHeader(http, 'x-amz-checksum-algorithm');
  const method = readHeader(http, 'x-amz-checksum-aggregation-method');
  if (checksum !== null) readChecksum(checksum);
  const given = [checksum, algorithm, method].filter((value) => value !== null).length;
  if (given !== 0 && given !== 3) {
    throw invalidParameter(
      'Checksum, ChecksumAlgorithm and ChecksumAggregationMethod are given together or not.',
    );
  }
  if (algorithm !== null) requireOnly({ name: 'ChecksumAlgorithm', value: algorithm, wanted: 'SHA256' });
  if (method !== null) requireOnly({ name: 'ChecksumAggregationMethod', value: method, wanted: 'LINEAR' });
  const changedBlocksCount = readWhole('ChangedBlocksCount', count);
  const Status = await desk.writes.complete(call.snapshotId, { changedBlocksCount, checksum });
  return answerJson(202, { Status });
}

function readProgress(text: string | null): number | null {
  const progress = text === null ? null : readWhole('Progress', text);
  if (progress !== null && progress > 100) throw invalidParameter(`Progress is ${progress}, over 100.`);
  return progress;
}
