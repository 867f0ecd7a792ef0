/** What can be known of the subscription before a byte moves: who we are, the resource group, the location, our rights. */
import { LandfallError } from '../../../src/domain/errors.ts';
import { failed, findingOf, look, lookIfAllowed, passed } from '../../../src/domain/finding.ts';
import type { Finding, PlannedMachine } from '../../../src/domain/ports.ts';
import { findArm, listArm } from './arm-get.ts';
import type { Azure } from './clients.ts';
import { type AzureCall, askIfNamed, azureCodeOf, isUntrusted, TRUST } from './errors.ts';
import { groupPlace, isSameId, subnetPlace } from './network-id.ts';
import { machineOptions } from './options.ts';
import {
  ENCRYPTION_ACTIONS,
  GROUP_ACTIONS,
  LANDING_ACTIONS,
  missingActions,
  OPERATION_ACTIONS,
  type Permission,
  SNAPSHOT_ACTIONS,
  SUBNET_ACTIONS,
} from './role.ts';

const RESOURCES_API = 'api-version=2021-04-01';
const SUBSCRIPTIONS_API = 'api-version=2022-12-01';
const AUTHORIZATION_API = 'api-version=2022-04-01';

/** Pre-flight asks with what an operator's shell has; errors of requests speak to whoever looks after a worker. */
const SHELL_IDENTITY =
  'Give this shell an identity of Azure (`az login`, or AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET, or a managed identity) and see that the clock is right. Workers that run already keep their own: `landfall down`, then start them again.';

const UNTRUSTED = 'its certificate is of an authority that this host does not trust';

export async function checkResourceGroup(azure: Azure, signal: AbortSignal): Promise<Finding[]> {
  const { resourceGroup, subscription } = azure.options;
  const subject = `resource group ${resourceGroup}`;
  const action = 'Microsoft.Resources/subscriptions/resourceGroups/read';
  const call = looking('the resource group', action, subject);
  return look({ subject, signal }, async () => {
    try {
      const path = `${scopeOf(subscription, resourceGroup)}?${RESOURCES_API}`;
      const found = await findArm(azure, { call, path, signal });
      if (found !== null) return [passed(subject, `is in subscription ${subscription}`)];
      const remedy = `Create it (\`az group create --name ${resourceGroup} --location ${azure.options.location}\`), or correct \`resourceGroup\`.`;
      return [failed(subject, `there is none in subscription ${subscription}`, remedy)];
    } catch (error) {
      if (isUntrusted(azureCodeOf(error))) return [failed('endpoint of Azure', UNTRUSTED, TRUST)];
      if (!isWithoutIdentity(error)) throw error;
      if (isNobody(error))
        return [
          failed(
            'identity',
            'nothing gives this shell an identity of Azure, or what gives it did not answer',
            SHELL_IDENTITY,
          ),
        ];
      return [{ ...findingOf('identity', error), remedy: SHELL_IDENTITY }];
    }
  });
}

export async function checkLocation(azure: Azure, signal: AbortSignal): Promise<Finding[]> {
  const { location, subscription } = azure.options;
  const subject = `location ${location}`;
  const call = looking('locations', 'Microsoft.Resources/subscriptions/locations/read', subject);
  return lookIfAllowed({ subject, signal }, async () => {
    const path = `/subscriptions/${subscription}/locations?${SUBSCRIPTIONS_API}`;
    const found = (await listArm(azure, { call, path, signal })) as { name?: string }[];
    const names = found.map(({ name = '' }) => name);
    if (names.includes(location)) return [];
    const remedy = `Set \`location\` to one of ${names.toSorted().join(', ')}.`;
    return [failed(subject, 'there is no such location for this subscription', remedy)];
  });
}

/** By Azure's own list of what we may do at each resource group that the wave touches. */
export async function checkRights(
  azure: Azure,
  machines: readonly PlannedMachine[],
  signal: AbortSignal,
): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const { place, actions } of neededRights(azure, machines).values()) {
    const subject = `rights on ${place.resourceGroup}`;
    const checked = await lookIfAllowed({ subject, signal }, async () => {
      const call = looking('our rights', 'Microsoft.Authorization/permissions/read', place.resourceGroup);
      const scope = scopeOf(place.subscription, place.resourceGroup);
      const path = `${scope}/providers/Microsoft.Authorization/permissions?${AUTHORIZATION_API}`;
      const permissions = await askIfNamed(call, () => listArm(azure, { call, path, signal }));
      // What is looked for in it will not be found: that is told.
      if (permissions === null) return [];
      const missing = missingActions(permissions as Permission[], [...actions]);
      if (missing.length === 0) return [passed(subject, 'our roles allow all that is needed')];
      const remedy = `Assign the role of docs/azure.md at ${place.resourceGroup} to the identity of the workers. A grant takes some minutes to be known everywhere.`;
      return [failed(subject, `our roles do not allow ${missing.join(', ')}`, remedy)];
    });
    findings.push(...checked);
  }
  return findings;
}

export async function checkEncryption(azure: Azure, signal: AbortSignal): Promise<Finding[]> {
  const { diskEncryptionSet, location } = azure.options;
  if (diskEncryptionSet === undefined) return [];
  const [, , subscription = '', , group = '', , , , name = ''] = diskEncryptionSet.split('/');
  const subject = `disk encryption set ${name}`;
  const remedy = `Name one of ${location} as \`diskEncryptionSet\`.`;
  if (!isSameId(subscription, azure.options.subscription)) {
    const message = `the disk encryption set is in another subscription, ${subscription}`;
    return [failed(subject, message, remedy)];
  }
  return look({ subject, signal }, async () => {
    const [action = ''] = ENCRYPTION_ACTIONS;
    const call = looking('the disk encryption set', action, `${name} in ${group}`);
    const found = await askIfNamed(call, () =>
      azure.compute.diskEncryptionSets.get(group, name, { abortSignal: signal }),
    );
    if (found === null) return [failed(subject, 'there is no such disk encryption set', remedy)];
    if (found.location === location) return [];
    return [failed(subject, `the disk encryption set is in ${found.location}`, remedy)];
  });
}

/** How calls of pre-flight are told: "Looking at locations". */
export function looking(what: string, action: string, resource: string): AzureCall {
  return { doing: `Looking at ${what}`, action, resource };
}

type Place = { subscription: string; resourceGroup: string };
type Needed = { place: Place; actions: Set<string> };

function neededRights({ options }: Azure, machines: readonly PlannedMachine[]): Map<string, Needed> {
  const needed = new Map<string, Needed>();
  const need = (place: Place, actions: readonly string[]): void => {
    // Refused for that, whatever we may do there.
    if (!isSameId(place.subscription, options.subscription)) return;
    const key = scopeOf(place.subscription, place.resourceGroup).toLowerCase();
    const known = needed.get(key) ?? { place, actions: new Set() };
    for (const action of actions) known.actions.add(action);
    needed.set(key, known);
  };
  need(options, LANDING_ACTIONS);
  need(options, OPERATION_ACTIONS);
  if (options.keepSnapshots) need(options, SNAPSHOT_ACTIONS);
  const groups = [options.quarantineGroup];
  for (const { wave } of machines) {
    const { subnet, group } = machineOptions(wave.to);
    if (subnet !== undefined) need(subnetPlace(options, subnet), SUBNET_ACTIONS);
    groups.push(group);
  }
  for (const group of groups) if (group !== undefined) need(groupPlace(options, group), GROUP_ACTIONS);
  return needed;
}

function isWithoutIdentity(error: unknown): error is LandfallError {
  if (!(error instanceof LandfallError) || error.code !== 'target-denied') return false;
  const { status } = error.context;
  return status === undefined || status === 401;
}

/** Each link of the SDK's chain was asked, and none has one: what it says of each is of no use to who set up none. */
function isNobody({ context }: LandfallError): boolean {
  return (
    context.azureCode === 'AggregateAuthenticationError' || context.azureCode === 'CredentialUnavailableError'
  );
}

function scopeOf(subscription: string, resourceGroup: string): string {
  return `/subscriptions/${subscription}/resourceGroups/${resourceGroup}`;
}
