/** What is asked of a subscription before anything is made. */
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
import { COMPUTE, COMPUTE_LOCATION, GROUP, type Route, SUBSCRIPTION } from './route.ts';

export const SUBSCRIPTION_ROUTES: readonly Route[] = [
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
];
