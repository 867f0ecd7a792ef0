/** What the fleet writes into instances' records. A record that moved on meanwhile is left alone. */
import type { GuestExit } from '../../boot/guest.ts';
import type { Ec2Cloud } from './cloud.ts';
import type { Instance, InstanceState } from './state.ts';

/** Says what is left to do. */
export async function recordExit({
  cloud,
  id,
  exit,
}: {
  cloud: Ec2Cloud;
  id: string;
  exit: GuestExit;
}): Promise<'nothing' | 'terminate'> {
  const isOwnWill = exit.reason === 'shut-down' || exit.reason === 'reset';
  const level = isOwnWill ? 'info' : 'error';
  cloud.log(level, `The guest of ${id} ended: ${exit.detail}`, { instance: id });
  return await cloud.store.update((state) => {
    const instance = state.instances[id];
    if (instance === undefined || (instance.state !== 'running' && instance.state !== 'pending'))
      return 'nothing';
    instance.endedAt = cloud.clock.now();
    const isEnded = isOwnWill && instance.shutdownBehavior === 'terminate';
    instance.state = isEnded ? 'shutting-down' : 'stopped';
    instance.stateReason = isOwnWill ? SHUT_DOWN_BY_GUEST : INTERNAL_ERROR;
    return isEnded ? 'terminate' : 'nothing';
  });
}

const SHUT_DOWN_BY_GUEST = {
  code: 'Client.InstanceInitiatedShutdown',
  message: 'Client.InstanceInitiatedShutdown: Instance initiated shutdown',
};
const INTERNAL_ERROR = {
  code: 'Server.InternalError',
  message: 'Server.InternalError: Internal error on launch',
};

export async function recordFailedBoot({
  cloud,
  instance: { id },
  error,
}: {
  cloud: Ec2Cloud;
  instance: Instance;
  error: unknown;
}): Promise<void> {
  const detail = error instanceof Error ? error.message : String(error);
  cloud.log('error', `Instance ${id} could not be booted: ${detail}`, { instance: id });
  await cloud.store.update((state) => {
    const instance = state.instances[id];
    if (instance?.state !== 'pending' && instance?.state !== 'running') return;
    Object.assign(instance, { state: 'stopped', stateReason: INTERNAL_ERROR, endedAt: cloud.clock.now() });
  });
}

export async function settleInstance({
  cloud,
  id,
  from,
  to,
}: {
  cloud: Ec2Cloud;
  id: string;
  from: readonly InstanceState[];
  to: InstanceState;
}): Promise<void> {
  await cloud.store.update((state) => {
    const instance = state.instances[id];
    if (instance === undefined || !from.includes(instance.state)) return;
    instance.state = to;
    if (to === 'stopped' || to === 'terminated') instance.endedAt = cloud.clock.now();
  });
}
