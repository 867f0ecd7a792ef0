/**
 * The sandbox's EC2: imports disks for real, boots them for real, and answers in EC2's own words.
 * https://docs.aws.amazon.com/AWSEC2/latest/APIReference/Welcome.html, version 2016-11-15
 *
 * Guests have no network, so what needs one is as if it were not there: groups are kept but nothing passes through
 * them, and the status checks listen to the console (health.ts).
 */
import { mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Acceleration } from '../../boot/acceleration.ts';
import { openSnapshotWrites, type SnapshotWrites } from '../ebs/snapshot-writes.ts';
import type { ObjectReader, RoleReader } from '../neighbours.ts';
import { answerQuery, type QueryActions, type QueryContext, type QueryResponse } from '../query-protocol.ts';
import { openStore } from '../store.ts';
import {
  DEFAULT_LIMITS,
  type Ec2Clock,
  type Ec2Cloud,
  type Ec2Limits,
  type Log,
  nameFiles,
} from './cloud.ts';
import { openFleet } from './fleet.ts';
import { imageImportActions } from './image-imports.ts';
import { imageActions } from './images.ts';
import { importTaskActions } from './import-tasks.ts';
import { openImports } from './imports.ts';
import { instanceAttributeActions } from './instance-attributes.ts';
import { TOKEN_LIFE_MS } from './instance-lookup.ts';
import { instanceStatusActions } from './instance-status.ts';
import { instanceTypeActions } from './instance-types.ts';
import { instanceActions } from './instances.ts';
import { keyPairActions } from './key-pairs.ts';
import { networkActions } from './network.ts';
import { DEFAULT_NETWORK, type NetworkSeed, seedState } from './network-seed.ts';
import { securityGroupActions } from './security-groups.ts';
import { snapshotActions } from './snapshots.ts';
import type { Ec2State } from './state.ts';
import { tagActions } from './tags.ts';
import { sweepFiles } from './volume-files.ts';
import { volumeActions } from './volumes.ts';

export type Ec2Options = {
  /** Private to this service, on the file system of the objects where it can be: then imports need no copy. */
  folder: string;
  accountId: string;
  region: string;
  objects: ObjectReader;
  roles: RoleReader;
  log: Log;
  /** Probed when the first guest boots, where it is left out. */
  acceleration?: Acceleration;
  limits?: Partial<Ec2Limits>;
  /** What a new account starts with; an account that exists keeps what it has. */
  network?: NetworkSeed;
  clock?: Ec2Clock;
};

export type Ec2 = AsyncDisposable & {
  /** What EBS direct works with: its snapshots are EC2's. */
  cloud: Ec2Cloud;
  writes: SnapshotWrites;
  actions: QueryActions;
  /** Answers one request; refusals are answers, too. */
  handle(params: URLSearchParams, context: QueryContext): Promise<QueryResponse>;
};

const SYSTEM_CLOCK: Ec2Clock = { now: Date.now };

/** Takes up what an earlier sandbox left in the folder: imports go on, instances that ran boot again. */
export async function createEc2(options: Ec2Options): Promise<Ec2> {
  const { accountId, region, objects, roles, log, clock = SYSTEM_CLOCK } = options;
  const files = nameFiles(resolve(options.folder));
  await mkdir(files.folders.root, { recursive: true });
  const seed = seedState({ network: options.network ?? DEFAULT_NETWORK, region, now: clock.now() });
  const store = await openStore<Ec2State>(join(files.folders.root, 'ec2.json'), seed);
  const limits = { ...DEFAULT_LIMITS, ...options.limits };
  const cloud: Ec2Cloud = { store, files, limits, clock, accountId, region, objects, roles, log };
  await forgetTerminated(cloud);
  await sweepFiles(cloud);
  const stack = new AsyncDisposableStack();
  const imports = stack.use(await openImports(cloud));
  const writes = stack.use(await openSnapshotWrites(cloud));
  const fleet = stack.use(await openFleet({ cloud, acceleration: options.acceleration ?? null }));
  const desk = { ...cloud, imports, fleet, writes };
  const actions: QueryActions = {
    ...importTaskActions(desk),
    ...imageImportActions(desk),
    ...snapshotActions(desk),
    ...imageActions(desk),
    ...instanceActions(desk),
    ...instanceAttributeActions(desk),
    ...instanceStatusActions(desk),
    ...instanceTypeActions(desk),
    ...volumeActions(desk),
    ...securityGroupActions(desk),
    ...networkActions(desk),
    ...keyPairActions(),
    ...tagActions(desk),
  };
  return {
    cloud,
    writes,
    actions,
    handle: (params, context) => answerQuery({ service: 'ec2', actions, params, context }),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

async function forgetTerminated({ store, clock }: Ec2Cloud): Promise<void> {
  const oldest = clock.now() - TOKEN_LIFE_MS;
  await store.update((state) => {
    for (const { id, state: name, endedAt } of Object.values(state.instances)) {
      if (name === 'terminated' && (endedAt ?? 0) < oldest) delete state.instances[id];
    }
  });
}
