import { expect, test } from 'vitest';
import { registerImage } from '../../../../adapters/targets/aws/image.ts';
import { createManualClock, createStepContext } from '../../../fakes/step-context.ts';
import { machineWith } from '../machines.ts';
import { scriptAws } from './scripted-aws.ts';

const REQUEST = {
  request: { machine: machineWith(), to: {}, artifacts: [] },
  snapshots: { '0': 'snap-1' },
};

test('an AMI that vanishes while it is pending is given up, and another one is registered', async () => {
  const clock = createManualClock();
  const context = createStepContext({ clock });
  const aws = scriptAws({
    RegisterImage: () => ({ ImageId: 'ami-1' }),
    DescribeImages: () => ({ Images: [] }),
  });
  const poll = () => registerImage(aws, { ...REQUEST, context });
  await expect(poll()).resolves.toMatchObject({ kind: 'wait' });
  clock.advance(30_000);
  await expect(poll()).resolves.toMatchObject({ kind: 'wait' });
  clock.advance(31_000);
  await expect(poll()).rejects.toMatchObject({ code: 'import-failed', retryable: true });
  await poll();
  expect(aws.sent.filter(({ name }) => name === 'RegisterImage')).toHaveLength(2);
});
