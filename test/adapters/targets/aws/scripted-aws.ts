/** An account whose answers a test writes: for what the sandbox cloud cannot be brought to, such as reads that lag. */
import { type Aws, createAws } from '../../../../adapters/targets/aws/clients.ts';
import { awsOptionsSchema } from '../../../../adapters/targets/aws/options.ts';
import type { JsonObject } from '../../../../src/domain/json.ts';
import type { LedgerEntry, LedgerState } from '../../../../src/domain/ports.ts';
import type { FakeStepContext } from '../../../fakes/step-context.ts';

type Input = Readonly<Record<string, unknown>>;

/** By the command's name without `Command`; an Error is thrown, a command without an answer gets an empty one. */
export type Script = Readonly<Record<string, (input: Input) => unknown>>;

export type ScriptedAws = Aws & { readonly sent: readonly { name: string; input: Input }[] };

export function scriptAws(script: Script, options: JsonObject = {}): ScriptedAws {
  const sent: { name: string; input: Input }[] = [];
  const send = async (command: { input: Input }): Promise<unknown> => {
    const name = command.constructor.name.replace(/Command$/, '');
    sent.push({ name, input: command.input });
    const answer = script[name]?.(command.input) ?? {};
    if (answer instanceof Error) throw answer;
    return answer;
  };
  const aws = createAws(awsOptionsSchema.parse({ region: 'eu-central-1', bucket: 'acme', ...options }));
  // The SDK's paginators insist on its own classes.
  for (const client of [aws.ebs, aws.ec2, aws.iam, aws.s3, aws.sts]) Object.assign(client, { send });
  return { ...aws, sent };
}

export function awsError(name: string, { message = 'said AWS', status = 400 } = {}): Error {
  return Object.assign(new Error(message), { name, $metadata: { httpStatusCode: status } });
}

/** What an earlier attempt wrote down. */
export async function noted(
  { ledger }: FakeStepContext,
  thing: string,
  { state = 'intended', ref = {} }: { state?: LedgerState; ref?: JsonObject } = {},
): Promise<LedgerEntry> {
  return ledger.settle(await ledger.intend(thing), state, ref);
}

export function tagsOf({ tags }: FakeStepContext, token?: string): { Key: string; Value: string }[] {
  const all = token === undefined ? tags : { ...tags, 'landfall:token': token };
  return Object.entries(all).map(([Key, Value]) => ({ Key, Value }));
}
