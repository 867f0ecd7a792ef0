/**
 * One thing that Resource Manager can be asked for: method and address name the operation, as the REST specifications
 * do, and the right that it takes.
 * https://learn.microsoft.com/azure/role-based-access-control/resource-provider-operations
 */
import type { HttpAnswer } from '../http.ts';
import { type ArmCall, parameterOf } from './arm-call.ts';
import type { AzureDesk } from './cloud.ts';

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

export const SUBSCRIPTION = '/subscriptions/{subscription}';
export const GROUP = `${SUBSCRIPTION}/resourceGroups/{group}`;
export const COMPUTE = 'providers/Microsoft.Compute';
export const NETWORK = 'providers/Microsoft.Network';
export const COMPUTE_LOCATION = `${SUBSCRIPTION}/${COMPUTE}/locations/{location}`;
export const NETWORK_LOCATION = `${SUBSCRIPTION}/${NETWORK}/locations/{location}`;

/** Both addresses of an operation: its status, and with `monitor` what it gives. */
export function pollOperation({ operations }: AzureDesk, call: ArmCall): HttpAnswer {
  const id = parameterOf(call, 'operation');
  return call.http.query.get('monitor') === 'true' ? operations.result(call, id) : operations.status(id);
}
