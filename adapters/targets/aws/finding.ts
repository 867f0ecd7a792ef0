/** How calls of pre-flight are told. */
import type { AwsCall } from './errors.ts';

/** "Looking at the bucket". */
export function looking(what: string, action: string, resource: string): AwsCall {
  return { doing: `Looking at ${what}`, action, resource };
}
