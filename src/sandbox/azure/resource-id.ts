/** Names of things in Resource Manager. They are compared without regard to case, and kept as they were given. */

export type ResourceName = { resourceGroup: string; provider: string; type: string; name: string };

/** `/subscriptions/S/resourceGroups/G/providers/P/T/N`. */
export function writeId(
  subscriptionId: string,
  { resourceGroup, provider, type, name }: ResourceName,
): string {
  return `${groupId(subscriptionId, resourceGroup)}/providers/${provider}/${type}/${name}`;
}

export function groupId(subscriptionId: string, resourceGroup: string): string {
  return `/subscriptions/${subscriptionId}/resourceGroups/${resourceGroup}`;
}

/** What the state's tables are keyed by. */
export function keyOf(id: string): string {
  return id.toLowerCase();
}

/** The member with this id; undefined where there is none, also for names that every object has. */
export function findById<T>(members: Readonly<Record<string, T>>, id: string): T | undefined {
  const key = keyOf(id);
  return Object.hasOwn(members, key) ? members[key] : undefined;
}

/** The last segment of an id. */
export function nameIn(id: string): string {
  return id.slice(id.lastIndexOf('/') + 1);
}

/** The group's name in an id; '' where it has none. */
export function groupIn(id: string): string {
  return /\/resourceGroups\/([^/]+)/i.exec(id)?.[1] ?? '';
}
