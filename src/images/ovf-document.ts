/** What an OVF descriptor says, in Landfall's words, and how its parts complain. */
import type { LandfallError } from '../domain/errors.ts';
import type { Firmware, Nic } from '../domain/machine.ts';
import { corruptImage } from './refusal.ts';

export type OvfSystem = {
  /** Its Name, else its id. Unique in the descriptor. */
  name: string;
  id: string;
  uuid: string | null;
  firmware: Firmware;
  secureBoot: boolean;
  cpus: number;
  memoryBytes: number;
  os: string | null;
  /** In bus order; exactly one boots. */
  disks: readonly OvfAttachedDisk[];
  nics: readonly Nic[];
};

export type OvfAttachedDisk = OvfDisk & { boots: boolean };

export type OvfDisk = {
  id: string;
  /** null: a blank disk. */
  file: OvfFile | null;
  /** null where the descriptor leaves it to the file. */
  capacity: { bytes: number; unitBytes: number } | null;
  /** In the descriptor, from 1. */
  line: number;
};

export type OvfFile = {
  /** A plain file name beside the descriptor. */
  name: string;
  isCompressed: boolean;
  /** In the descriptor, from 1. */
  line: number;
};

/** What a descriptor's parts need to complain. */
export type OvfReader = {
  label: string;
  disks: ReadonlyMap<string, OvfDisk>;
  files: ReadonlyMap<string, OvfFile>;
  /** The deployment option that is taken; null where the descriptor offers none. */
  configuration: string | null;
};

export const EXPORT_AGAIN = 'Export the machine again from its source.';

/** A finding about one line of a descriptor, with what to do about it. */
export function ovfFault(
  { label }: { label: string },
  { line, found, remedy }: { line: number; found: string; remedy: string },
): LandfallError {
  return corruptImage({ label: `${label}, line ${line}`, found, remedy, context: { file: label, line } });
}
