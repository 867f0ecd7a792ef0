/** What can be seen of an instance: its state, AWS's status checks, its console, its screen. */
import {
  DescribeInstanceStatusCommand,
  GetConsoleOutputCommand,
  GetConsoleScreenshotCommand,
  type InstanceStatus,
} from '@aws-sdk/client-ec2';
import type { Landing, LandingCheck, Observation } from '../../../src/domain/landing.ts';
import type { StepContext } from '../../../src/domain/ports.ts';
import { jpegToPng } from '../../../src/images/png.ts';
import type { Aws } from './clients.ts';
import { ask, askUnless, awsCodeOf } from './errors.ts';
import { describeInstance } from './instance-lookup.ts';
import { landingRef } from './landing.ts';

/** Answers of an instance that has no console or screen yet, or has them no more. */
const NOT_YET = [
  'IncorrectInstanceState',
  'InvalidInstanceID.NotFound',
  'InvalidInstanceID.NotReady',
  'InternalError',
  'Unavailable',
];
/** `Latest` is known to Nitro types only. */
const NO_LATEST = ['UnsupportedOperation', 'InvalidParameterCombination', 'Unsupported'];

export async function observeInstance(
  aws: Aws,
  landing: Landing,
  context: StepContext,
): Promise<Observation> {
  const { instanceId } = landingRef(landing);
  const instance = await describeInstance(aws, instanceId, context.signal);
  const state = stateOf(instance?.State?.Name);
  if (state === 'gone') return { state, checks: [], console: '', screenshot: null };
  const [checks, console, screenshot] = await Promise.all([
    readChecks(aws, instanceId, context),
    readConsole(aws, instanceId, context),
    state === 'running' ? readScreen(aws, instanceId, context) : null,
  ]);
  return { state, checks, console, screenshot };
}

function stateOf(name: string | undefined): Observation['state'] {
  switch (name) {
    case 'pending':
      return 'starting';
    case 'running':
      return 'running';
    case 'stopping':
    case 'stopped':
      return 'stopped';
    default:
      return 'gone';
  }
}

async function readChecks(aws: Aws, instanceId: string, { signal }: StepContext): Promise<LandingCheck[]> {
  const call = {
    doing: 'Reading status checks',
    action: 'ec2:DescribeInstanceStatus',
    resource: instanceId,
  };
  const command = new DescribeInstanceStatusCommand({
    InstanceIds: [instanceId],
    IncludeAllInstances: true,
  });
  const answer = await askUnless(['InvalidInstanceID.NotFound'], call, () =>
    aws.ec2.send(command, { abortSignal: signal }),
  );
  return checksOf(answer?.InstanceStatuses?.[0] ?? {});
}

export function checksOf(status: InstanceStatus): LandingCheck[] {
  return [
    checkOf('system status', status.SystemStatus?.Status),
    checkOf('instance status', status.InstanceStatus?.Status),
    checkOf('disks', status.AttachedEbsStatus?.Status),
  ];
}

/** AWS's own waiter never ends on `impaired`; it is a failure here. */
function checkOf(name: string, status: string | undefined): LandingCheck {
  const detail = status ?? 'not told yet';
  // An instance without EBS checks of its own tells `not-applicable`: nothing to wait for.
  if (status === 'ok' || status === 'not-applicable') return { name, state: 'ok', detail };
  return { name, state: status === 'impaired' ? 'failed' : 'pending', detail };
}

/** AWS keeps the last 64 KB. */
async function readConsole(aws: Aws, instanceId: string, { signal }: StepContext): Promise<string> {
  const call = { doing: 'Reading the console', action: 'ec2:GetConsoleOutput', resource: instanceId };
  const read = (input: { Latest?: boolean }): Promise<{ Output?: string | undefined } | null> =>
    askUnless(NOT_YET, call, () =>
      aws.ec2.send(new GetConsoleOutputCommand({ InstanceId: instanceId, ...input }), {
        abortSignal: signal,
      }),
    );
  const answer = await read({ Latest: true }).catch((error: unknown) => {
    if (NO_LATEST.includes(awsCodeOf(error))) return read({});
    throw error;
  });
  return Buffer.from(answer?.Output ?? '', 'base64').toString('utf8');
}

/** A missing screenshot is no reason to doubt a landing: what cannot be had is logged and left out. */
async function readScreen(aws: Aws, instanceId: string, context: StepContext): Promise<Uint8Array | null> {
  const call = {
    doing: 'Taking a screenshot',
    action: 'ec2:GetConsoleScreenshot',
    resource: instanceId,
  };
  const command = new GetConsoleScreenshotCommand({ InstanceId: instanceId });
  try {
    const answer = await ask(call, () => aws.ec2.send(command, { abortSignal: context.signal }));
    const jpeg = Buffer.from(answer.ImageData ?? '', 'base64');
    return jpeg.length === 0 ? null : await jpegToPng(jpeg, context.signal);
  } catch (error) {
    context.signal.throwIfAborted();
    if (!NOT_YET.includes(awsCodeOf(error)))
      context.log('warn', error instanceof Error ? error.message : String(error));
    return null;
  }
}
