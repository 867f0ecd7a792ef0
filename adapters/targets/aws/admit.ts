/** A proven instance enters service: the wave's security groups in place of the quarantine group. */
import { ModifyInstanceAttributeCommand } from '@aws-sdk/client-ec2';
import { LandfallError } from '../../../src/domain/errors.ts';
import type { JsonObject } from '../../../src/domain/json.ts';
import type { Landing } from '../../../src/domain/landing.ts';
import type { StepContext, StepOutcome } from '../../../src/domain/ports.ts';
import { tidyUp } from '../../../src/domain/tidy.ts';
import type { Aws } from './clients.ts';
import { ask } from './errors.ts';
import { describeInstance } from './instance-lookup.ts';
import { landingOf, landingRef } from './landing.ts';
import { machineOptions } from './options.ts';
import { closeQuarantine } from './quarantine.ts';

/** AWS's reads lag behind its writes by seconds. */
const CONFIRM_AFTER_MS = 2_000;

export async function admitInstance(
  aws: Aws,
  { to, landing }: { to: JsonObject; landing: Landing },
  context: StepContext,
): Promise<StepOutcome<Landing>> {
  const ref = landingRef(landing);
  const groups = groupsOf(to, context);
  const entry = await context.ledger.intend('admission');
  if (!(await isIn(aws, ref.instanceId, { groups, context }))) {
    await putIn(aws, ref.instanceId, { groups, context });
    if (!(await isIn(aws, ref.instanceId, { groups, context })))
      return { kind: 'wait', afterMs: CONFIRM_AFTER_MS, note: 'its groups change' };
  }
  if (entry.state !== 'done')
    await context.ledger.settle(entry, 'done', { instanceId: ref.instanceId, groups });
  await tidyUp(context, () => leaveQuarantine(aws, context));
  return { kind: 'done', value: landingOf({ ...ref, groups }) };
}

type Membership = { groups: string[]; context: StepContext };

/** Asked of the instance itself, never concluded from an accepted request. */
async function isIn(aws: Aws, instanceId: string, { groups, context }: Membership): Promise<boolean> {
  const instance = await describeInstance(aws, instanceId, context.signal);
  const state = instance?.State?.Name ?? 'terminated';
  if (instance === null || state === 'terminated' || state === 'shutting-down')
    throw goneInstance(instanceId, context);
  const actual = (instance.SecurityGroups ?? []).flatMap(({ GroupId }) => GroupId ?? []);
  return actual.length === groups.length && groups.every((group) => actual.includes(group));
}

async function putIn(aws: Aws, instanceId: string, { groups, context }: Membership): Promise<void> {
  const call = {
    doing: `Admitting ${context.machine}`,
    action: 'ec2:ModifyInstanceAttribute',
    resource: instanceId,
  };
  const command = new ModifyInstanceAttributeCommand({ InstanceId: instanceId, Groups: groups });
  await ask(call, () => aws.ec2.send(command, { abortSignal: context.signal }));
}

/** The last machine of the run to leave removes the group; while another is in it, AWS keeps it. */
async function leaveQuarantine(aws: Aws, context: StepContext): Promise<void> {
  const entries = await context.ledger.entries();
  const entry = entries.findLast(({ thing, state }) => thing === 'quarantine' && state === 'done');
  const groupId = entry?.ref?.groupId;
  if (entry === undefined || typeof groupId !== 'string') return;
  const isGone = await closeQuarantine(aws, { groupId, run: context.run, signal: context.signal });
  if (isGone) await context.ledger.settle(entry, 'discarded');
}

function groupsOf(to: JsonObject, { machine }: StepContext): string[] {
  const { groups } = machineOptions(to);
  if (groups !== undefined) return [...new Set(groups)];
  throw new LandfallError({
    code: 'target-refused',
    message: `${machine} has no security groups to be admitted to. Set \`groups\` under \`to:\` or \`defaults: to:\`.`,
  });
}

function goneInstance(instanceId: string, { machine }: StepContext): LandfallError {
  return new LandfallError({
    code: 'target-missing',
    message: `The instance ${instanceId} of ${machine} is gone: it cannot be admitted. Run \`landfall discard\`, then \`landfall retry\` for it.`,
    context: { instanceId },
  });
}
