/** What every action of EBS direct works with. */
import type { JsonObject } from '../../domain/json.ts';
import type { Ec2Cloud } from '../ec2/cloud.ts';
import type { HttpAnswer } from '../http.ts';
import type { SnapshotWrites } from './snapshot-writes.ts';
import type { Tokens } from './tokens.ts';

export type EbsDesk = Ec2Cloud & { writes: SnapshotWrites; tokens: Tokens };

export function answerJson(status: number, body: JsonObject): HttpAnswer {
  const headers = { 'content-type': 'application/json' };
  return { status, headers, body: { kind: 'text', text: JSON.stringify(body) } };
}
