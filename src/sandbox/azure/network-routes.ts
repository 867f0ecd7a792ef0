/** Network interfaces, security groups and networks, and the operations on them. */
import {
  checkAddress,
  deleteSecurityGroup,
  getNetwork,
  getSecurityGroup,
  getSubnet,
  listNetworks,
  listSecurityGroups,
  putSecurityGroup,
} from './network.ts';
import { deleteInterface, getInterface, listInterfaces, putInterface } from './network-interfaces.ts';
import { GROUP, NETWORK, NETWORK_LOCATION, pollOperation, type Route, SUBSCRIPTION } from './route.ts';

const INTERFACE = `${GROUP}/${NETWORK}/networkInterfaces/{name}`;
const SECURITY_GROUP = `${GROUP}/${NETWORK}/networkSecurityGroups/{name}`;
const VNET = `${GROUP}/${NETWORK}/virtualNetworks/{name}`;

const interfaces = (right: string): string => `Microsoft.Network/networkInterfaces/${right}`;
const securityGroups = (right: string): string => `Microsoft.Network/networkSecurityGroups/${right}`;
const monitor = ['monitor'];

export const NETWORK_ROUTES: readonly Route[] = [
  {
    method: 'GET',
    path: `${NETWORK_LOCATION}/operations/{operation}`,
    action: 'Network_PollOperation',
    right: 'Microsoft.Network/locations/operations/read',
    query: monitor,
    answer: pollOperation,
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
    path: VNET,
    verb: 'CheckIPAddressAvailability',
    action: 'VirtualNetworks_CheckIPAddressAvailability',
    right: 'Microsoft.Network/virtualNetworks/checkIpAddressAvailability/read',
    query: ['ipAddress'],
    answer: checkAddress,
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
