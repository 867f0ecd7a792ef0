import { describe, expect, test } from 'vitest';
import { startInstance } from '../../../../adapters/targets/aws/instance.ts';
import type { JsonObject } from '../../../../src/domain/json.ts';
import type { LedgerState } from '../../../../src/domain/ports.ts';
import { createStepContext, type FakeStepContext } from '../../../fakes/step-context.ts';
import { machineWith } from '../machines.ts';
import { noted, type Script, type ScriptedAws, scriptAws, tagsOf } from './scripted-aws.ts';

describe('an instance that ended', () => {
  test.each<[string, LedgerState, string]>([
    ['by somebody', 'done', 'Client.UserInitiatedShutdown'],
    ['by AWS while it started', 'intended', 'Server.InternalError'],
  ])('%s leaves none of its disks behind', async (_, state, reason) => {
    const context = createStepContext();
    await noted(context, 'instance', { state, ref: { instanceId: 'i-1' } });
    const aws = scriptAws({
      ...ended(context, reason),
      RunInstances: () => ({ Instances: [{ InstanceId: 'i-2' }] }),
    });
    await start(aws, context).catch(() => {});
    expect(inputsOf(aws, 'DeleteVolume')).toEqual([{ VolumeId: 'vol-1' }]);
  });
});

function ended(context: FakeStepContext, Code: string): Script {
  const Volumes = [{ VolumeId: 'vol-1', Tags: tagsOf(context) }];
  return {
    DescribeInstances: ({ InstanceIds }) => ({
      Reservations: [
        {
          Instances: [
            String(InstanceIds) === 'i-1'
              ? { InstanceId: 'i-1', State: { Name: 'terminated' }, StateReason: { Code } }
              : { InstanceId: 'i-2', State: { Name: 'running' } },
          ],
        },
      ],
    }),
    DescribeVolumes: () => ({ Volumes }),
  };
}

function start(aws: ScriptedAws, context: FakeStepContext, to: JsonObject = {}) {
  const request = { machine: machineWith(), to, artifacts: [] };
  return startInstance(aws, {
    request,
    imageId: 'ami-1',
    quarantineGroup: 'sg-1',
    subnet: 'subnet-1',
    context,
  });
}

function inputsOf({ sent }: ScriptedAws, command: string) {
  return sent.filter(({ name }) => name === command).map(({ input }) => input);
}
