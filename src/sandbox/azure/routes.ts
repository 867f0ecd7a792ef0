/**
 * What Resource Manager is asked for: method and address name the operation, as the REST specifications do, and the
 * right that it takes. https://learn.microsoft.com/azure/role-based-access-control/resource-provider-operations
 */
import type { HttpAnswer, HttpRequest } from '../http.ts';
import type { ArmCall } from './arm-call.ts';
import { retrieveDiagnostics } from './boot-diagnostics.ts';
import {
  checkGroup,
  getGroup,
  getSubscription,
  listGroups,
  listLocations,
  listPermissions,
  listSkus,
  listUsages,
} from './catalogue.ts';
import type { AzureDesk } from './cloud.ts';
import { beginGetAccess, endGetAccess } from './disk-access.ts';
import { createDisk, deleteDisk, getDisk, listDisks, updateDisk } from './disks.ts';
import {
  deleteSecurityGroup,
  getNetwork,
  getSecurityGroup,
  getSubnet,
  listNetworks,
  listSecurityGroups,
  putSecurityGroup,
} from './network.ts';
import { deleteInterface, getInterface, listInterfaces, putInterface } from './network-interfaces.ts';
import {
  deallocateMachine,
  deleteMachine,
  getInstanceView,
  getMachine,
  listMachines,
  powerOffMachine,
  putMachine,
  restartMachine,
  startMachine,
  updateMachine,
} from './virtual-machines.ts';

export type Route = {
  method: string;
  /** Segments in braces are parameters. */
  path: string;
  /** A POST's or GET's last segment, after the resource's own address. */
  verb?: string;
  action: string;
  /** null: no right is asked for. */
  right: string | null;
  /** Beside `api-version`. */
  query?: readonly string[];
  answer: (desk: AzureDesk, call: ArmCall) => HttpAnswer | Promise<HttpAnswer>;
};

export type RoutedCall = { route: Route; parameters: Record<string, string>; id: string };

const SUBSCRIPTION = '/subscriptions/{subscription}';
const GROUP = `${SUBSCRIPTION}/resourceGroups/{group}`;
const COMPUTE = 'providers/Microsoft.Compute';
const NETWORK = 'providers/Microsoft.Network';
const DISK = `${GROUP}/${COMPUTE}/disks/{name}`;
const MACHINE = `${GROUP}/${COMPUTE}/virtualMachines/{name}`;
const INTERFACE = `${GROUP}/${NETWORK}/networkInterfaces/{name}`;
const SECURITY_GROUP = `${GROUP}/${NETWORK}/networkSecurityGroups/{name}`;
const VNET = `${GROUP}/${NETWORK}/virtualNetworks/{name}`;

const COMPUTE_LOCATION = `${SUBSCRIPTION}/${COMPUTE}/locations/{location}`;
const NETWORK_LOCATION = `${SUBSCRIPTION}/${NETWORK}/locations/{location}`;

const disks = (right: string): string => `Microsoft.Compute/disks/${right}`;
const machines = (right: string): string => `Microsoft.Compute/virtualMachines/${right}`;
const interfaces = (right: string): string => `Microsoft.Network/networkInterfaces/${right}`;
const securityGroups = (right: string): string => `Microsoft.Network/networkSecurityGroups/${right}`;

const poll: Route['answer'] = ({ operations }, call) => {
  const id = call.parameters.operation ?? '';
  return call.http.query.get('monitor') === 'true' ? operations.result(call, id) : operations.status(id);
};
const monitor = ['monitor'];

const ROUTES: readonly Route[] = [
  { method: 'GET', path: SUBSCRIPTION, action: 'Subscriptions_Get', right: null, answer: getSubscription },
  {
    method: 'GET',
    path: `${SUBSCRIPTION}/locations`,
    action: 'Subscriptions_ListLocations',
    right: null,
    answer: listLocations,
  },
  {
    method: 'GET',
    path: `${SUBSCRIPTION}/resourceGroups`,
    action: 'ResourceGroups_List',
    right: 'Microsoft.Resources/subscriptions/resourceGroups/read',
    answer: listGroups,
  },
  {
    method: 'GET',
    path: GROUP,
    action: 'ResourceGroups_Get',
    right: 'Microsoft.Resources/subscriptions/resourceGroups/read',
    answer: getGroup,
  },
  {
    method: 'HEAD',
    path: GROUP,
    action: 'ResourceGroups_CheckExistence',
    right: 'Microsoft.Resources/subscriptions/resourceGroups/read',
    answer: checkGroup,
  },
  // Everybody may read what they themselves may do.
  {
    method: 'GET',
    path: `${GROUP}/providers/Microsoft.Authorization/permissions`,
    action: 'Permissions_ListForResourceGroup',
    right: null,
    answer: listPermissions,
  },

  {
    method: 'GET',
    path: `${SUBSCRIPTION}/${COMPUTE}/skus`,
    action: 'ResourceSkus_List',
    right: 'Microsoft.Compute/skus/read',
    query: ['$filter', 'includeExtendedLocations'],
    answer: listSkus,
  },
  {
    method: 'GET',
    path: `${COMPUTE_LOCATION}/usages`,
    action: 'Usage_List',
    right: 'Microsoft.Compute/locations/usages/read',
    answer: listUsages,
  },
  {
    method: 'GET',
    path: `${COMPUTE_LOCATION}/DiskOperations/{operation}`,
    action: 'Disks_PollOperation',
    right: 'Microsoft.Compute/locations/DiskOperations/read',
    query: monitor,
    answer: poll,
  },
  {
    method: 'GET',
    path: `${COMPUTE_LOCATION}/operations/{operation}`,
    action: 'VirtualMachines_PollOperation',
    right: 'Microsoft.Compute/locations/operations/read',
    query: monitor,
    answer: poll,
  },
  {
    method: 'GET',
    path: `${NETWORK_LOCATION}/operations/{operation}`,
    action: 'Network_PollOperation',
    right: 'Microsoft.Network/locations/operations/read',
    query: monitor,
    answer: poll,
  },

  { method: 'PUT', path: DISK, action: 'Disks_CreateOrUpdate', right: disks('write'), answer: createDisk },
  { method: 'GET', path: DISK, action: 'Disks_Get', right: disks('read'), answer: getDisk },
  { method: 'PATCH', path: DISK, action: 'Disks_Update', right: disks('write'), answer: updateDisk },
  { method: 'DELETE', path: DISK, action: 'Disks_Delete', right: disks('delete'), answer: deleteDisk },
  {
    method: 'POST',
    path: DISK,
    verb: 'beginGetAccess',
    action: 'Disks_GrantAccess',
    right: disks('beginGetAccess/action'),
    answer: beginGetAccess,
  },
  {
    method: 'POST',
    path: DISK,
    verb: 'endGetAccess',
    action: 'Disks_RevokeAccess',
    right: disks('endGetAccess/action'),
    answer: endGetAccess,
  },
  {
    method: 'GET',
    path: `${GROUP}/${COMPUTE}/disks`,
    action: 'Disks_ListByResourceGroup',
    right: disks('read'),
    answer: listDisks,
  },
  {
    method: 'GET',
    path: `${SUBSCRIPTION}/${COMPUTE}/disks`,
    action: 'Disks_List',
    right: disks('read'),
    answer: listDisks,
  },

  {
    method: 'PUT',
    path: MACHINE,
    action: 'VirtualMachines_CreateOrUpdate',
    right: machines('write'),
    answer: putMachine,
  },
  {
    method: 'GET',
    path: MACHINE,
    action: 'VirtualMachines_Get',
    right: machines('read'),
    query: ['$expand'],
    answer: getMachine,
  },
  {
    method: 'PATCH',
    path: MACHINE,
    action: 'VirtualMachines_Update',
    right: machines('write'),
    answer: updateMachine,
  },
  {
    method: 'DELETE',
    path: MACHINE,
    action: 'VirtualMachines_Delete',
    right: machines('delete'),
    query: ['forceDeletion'],
    answer: deleteMachine,
  },
  {
    method: 'GET',
    path: MACHINE,
    verb: 'instanceView',
    action: 'VirtualMachines_InstanceView',
    right: machines('instanceView/read'),
    answer: getInstanceView,
  },
  {
    method: 'POST',
    path: MACHINE,
    verb: 'retrieveBootDiagnosticsData',
    action: 'VirtualMachines_RetrieveBootDiagnosticsData',
    right: machines('retrieveBootDiagnosticsData/action'),
    query: ['sasUriExpirationTimeInMinutes'],
    answer: retrieveDiagnostics,
  },
  {
    method: 'POST',
    path: MACHINE,
    verb: 'start',
    action: 'VirtualMachines_Start',
    right: machines('start/action'),
    answer: startMachine,
  },
  {
    method: 'POST',
    path: MACHINE,
    verb: 'restart',
    action: 'VirtualMachines_Restart',
    right: machines('restart/action'),
    answer: restartMachine,
  },
  {
    method: 'POST',
    path: MACHINE,
    verb: 'powerOff',
    action: 'VirtualMachines_PowerOff',
    right: machines('powerOff/action'),
    query: ['skipShutdown'],
    answer: powerOffMachine,
  },
  {
    method: 'POST',
    path: MACHINE,
    verb: 'deallocate',
    action: 'VirtualMachines_Deallocate',
    right: machines('deallocate/action'),
    query: ['forceDeallocate'],
    answer: deallocateMachine,
  },
  {
    method: 'GET',
    path: `${GROUP}/${COMPUTE}/virtualMachines`,
    action: 'VirtualMachines_List',
    right: machines('read'),
    answer: listMachines,
  },
  {
    method: 'GET',
    path: `${SUBSCRIPTION}/${COMPUTE}/virtualMachines`,
    action: 'VirtualMachines_ListAll',
    right: machines('read'),
    answer: listMachines,
  },

  {
    method: 'PUT',
    path: INTERFACE,
    action: 'NetworkInterfaces_CreateOrUpdate',
    right: interfaces('write'),
    answer: putInterface,
  },
  {
    method: 'GET',
    path: INTERFACE,
    action: 'NetworkInterfaces_Get',
    right: interfaces('read'),
    answer: getInterface,
  },
  {
    method: 'DELETE',
    path: INTERFACE,
    action: 'NetworkInterfaces_Delete',
    right: interfaces('delete'),
    answer: deleteInterface,
  },
  {
    method: 'GET',
    path: `${GROUP}/${NETWORK}/networkInterfaces`,
    action: 'NetworkInterfaces_List',
    right: interfaces('read'),
    answer: listInterfaces,
  },
  {
    method: 'GET',
    path: `${SUBSCRIPTION}/${NETWORK}/networkInterfaces`,
    action: 'NetworkInterfaces_ListAll',
    right: interfaces('read'),
    answer: listInterfaces,
  },

  {
    method: 'PUT',
    path: SECURITY_GROUP,
    action: 'NetworkSecurityGroups_CreateOrUpdate',
    right: securityGroups('write'),
    answer: putSecurityGroup,
  },
  {
    method: 'GET',
    path: SECURITY_GROUP,
    action: 'NetworkSecurityGroups_Get',
    right: securityGroups('read'),
    answer: getSecurityGroup,
  },
  {
    method: 'DELETE',
    path: SECURITY_GROUP,
    action: 'NetworkSecurityGroups_Delete',
    right: securityGroups('delete'),
    answer: deleteSecurityGroup,
  },
  {
    method: 'GET',
    path: `${GROUP}/${NETWORK}/networkSecurityGroups`,
    action: 'NetworkSecurityGroups_List',
    right: securityGroups('read'),
    answer: listSecurityGroups,
  },
  {
    method: 'GET',
    path: `${SUBSCRIPTION}/${NETWORK}/networkSecurityGroups`,
    action: 'NetworkSecurityGroups_ListAll',
    right: securityGroups('read'),
    answer: listSecurityGroups,
  },

  {
    method: 'GET',
    path: VNET,
    action: 'VirtualNetworks_Get',
    right: 'Microsoft.Network/virtualNetworks/read',
    answer: getNetwork,
  },
  {
    method: 'GET',
    path: `${VNET}/subnets/{subnet}`,
    action: 'Subnets_Get',
    right: 'Microsoft.Network/virtualNetworks/subnets/read',
    answer: getSubnet,
  },
  {
    method: 'GET',
    path: `${GROUP}/${NETWORK}/virtualNetworks`,
    action: 'VirtualNetworks_List',
    right: 'Microsoft.Network/virtualNetworks/read',
    answer: listNetworks,
  },
];

/** null where the sandbox knows no such thing. */
export function findRoute({ method, rawPath }: HttpRequest): RoutedCall | null {
  const segments = rawPath
    .split('/')
    .filter((segment) => segment !== '')
    .map(decodeSegment);
  for (const route of ROUTES) {
    if (route.method !== method) continue;
    const parameters = matchPath(route, segments);
    if (parameters === null) continue;
    const own = route.verb === undefined ? segments : segments.slice(0, -1);
    return { route, parameters, id: `/${own.join('/')}` };
  }
  return null;
}

function matchPath({ path, verb }: Route, segments: readonly string[]): Record<string, string> | null {
  const wanted = `${path}${verb === undefined ? '' : `/${verb}`}`.split('/').slice(1);
  if (wanted.length !== segments.length) return null;
  const parameters: Record<string, string> = {};
  for (const [index, pattern] of wanted.entries()) {
    const segment = segments[index] ?? '';
    if (pattern.startsWith('{')) parameters[pattern.slice(1, -1)] = segment;
    else if (pattern.toLowerCase() !== segment.toLowerCase()) return null;
  }
  return parameters;
}

function decodeSegment(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}
