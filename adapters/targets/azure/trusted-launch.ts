/**
 * Secure Boot and a virtual TPM: both come with Trusted Launch, which the boot disk must be made for.
 * https://learn.microsoft.com/azure/virtual-machines/trusted-launch
 */
import type { Machine } from '../../../src/domain/machine.ts';
import type { AzureMachineOptions } from './options.ts';

export type TrustedLaunch = { secureBoot: boolean; vtpm: boolean };

/** null where the machine has neither. */
export function trustedLaunchOf(
  { secureBoot: isSecureAtSource }: Pick<Machine, 'secureBoot'>,
  { secureBoot = isSecureAtSource, vtpm = false }: Pick<AzureMachineOptions, 'secureBoot' | 'vtpm'>,
): TrustedLaunch | null {
  return secureBoot || vtpm ? { secureBoot, vtpm } : null;
}
