/** Which instances can be seen: terminated ones for an hour, as in AWS; their client tokens are known for a day. */
import type { Ec2Desk } from './cloud.ts';
import { notFound, requireMember } from './refusals.ts';
import type { Ec2State, Instance } from './state.ts';

const VISIBLE_MS = 60 * 60 * 1000;
export const TOKEN_LIFE_MS = 24 * 60 * 60 * 1000;

/** The named ones, in the order of their names, or all. Throws InvalidInstanceID. */
export function findVisible({
  desk,
  state,
  ids,
}: {
  desk: Ec2Desk;
  state: Readonly<Ec2State>;
  ids: readonly string[] | undefined;
}): Instance[] {
  const isVisible = (instance: Instance): boolean =>
    instance.state !== 'terminated' || desk.clock.now() < (instance.endedAt ?? 0) + VISIBLE_MS;
  if (ids === undefined) return Object.values(state.instances).filter(isVisible);
  return [...new Set(ids)].map((id) => requireVisible({ desk, state, id, isVisible }));
}

export function findOne(desk: Ec2Desk, state: Readonly<Ec2State>, id: string): Instance {
  const [instance] = findVisible({ desk, state, ids: [id] });
  if (instance === undefined) throw notFound('instance', id);
  return instance;
}

function requireVisible({
  state,
  id,
  isVisible,
}: {
  desk: Ec2Desk;
  state: Readonly<Ec2State>;
  id: string;
  isVisible: (instance: Instance) => boolean;
}): Instance {
  const instance = requireMember({ members: state.instances, kind: 'instance', id });
  if (!isVisible(instance)) throw notFound('instance', id);
  return instance;
}
