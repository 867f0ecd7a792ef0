/** A sandbox EC2 with an image that boots, and short ways to run its instances and look at them. */
import {
  DescribeInstanceStatusCommand,
  DescribeInstancesCommand,
  GetConsoleOutputCommand,
  type Instance,
  type InstanceStatus,
  RunInstancesCommand,
  type RunInstancesCommandInput,
  TerminateInstancesCommand,
} from '@aws-sdk/client-ec2';
import { type BenchCloud, makeImage, openBenchCloud, SUBNET, until, WEB } from './bench-cloud.ts';
import { bootDisk } from './boot-sector.ts';

export type BenchInstances = AsyncDisposable & {
  cloud: BenchCloud;
  /** Runs the image that boots, unless `changes` names another. */
  run(changes?: Partial<RunInstancesCommandInput>): Promise<Instance>;
  look(id: string): Promise<Instance>;
  untilState(id: string, name: string): Promise<Instance>;
  statusOf(id: string): Promise<InstanceStatus | undefined>;
  consoleOf(id: string): Promise<string>;
  /** Waits until it is terminated. */
  terminate(id: string): Promise<void>;
  /** What a failed test left running would fail the next ones, too. */
  terminateAll(): Promise<void>;
};

/** Quota: 8 vCPUs; there is no capacity for m5.large. */
export async function openBenchInstances(): Promise<BenchInstances> {
  await using stack = new AsyncDisposableStack();
  const cloud = stack.use(await openBenchCloud({ limits: { vcpus: 8, exhaustedTypes: ['m5.large'] } }));
  const imageId = await makeImage(cloud, bootDisk('Hello from the landed guest\r\nshop login: '));
  const owned = stack.move();
  const { client } = cloud;
  const bench: BenchInstances = {
    cloud,
    async run(changes = {}) {
      const { Instances } = await client.send(
        new RunInstancesCommand({
          ImageId: imageId,
          InstanceType: 't3.micro',
          MinCount: 1,
          MaxCount: 1,
          SubnetId: SUBNET,
          SecurityGroupIds: [WEB],
          ...changes,
        }),
      );
      return Instances?.[0] ?? {};
    },
    async look(id) {
      const { Reservations } = await client.send(new DescribeInstancesCommand({ InstanceIds: [id] }));
      return Reservations?.[0]?.Instances?.[0] ?? {};
    },
    untilState: (id, name) =>
      until(
        () => bench.look(id),
        (instance) => instance.State?.Name === name,
      ),
    async statusOf(id) {
      const { InstanceStatuses } = await client.send(
        new DescribeInstanceStatusCommand({ InstanceIds: [id], IncludeAllInstances: true }),
      );
      return InstanceStatuses?.[0];
    },
    async consoleOf(id) {
      const { Output } = await client.send(new GetConsoleOutputCommand({ InstanceId: id, Latest: true }));
      return Buffer.from(Output ?? '', 'base64').toString();
    },
    async terminate(id) {
      await client.send(new TerminateInstancesCommand({ InstanceIds: [id] }));
      await bench.untilState(id, 'terminated');
    },
    async terminateAll() {
      const { Reservations = [] } = await client.send(
        new DescribeInstancesCommand({
          Filters: [{ Name: 'instance-state-name', Values: ['pending', 'running', 'stopped'] }],
        }),
      );
      for (const { InstanceId } of Reservations.flatMap(({ Instances = [] }) => Instances)) {
        if (InstanceId !== undefined) await bench.terminate(InstanceId);
      }
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
  return bench;
}
