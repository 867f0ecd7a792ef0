/** What commands share that act on all machines of a run, on one, or on a group. */
import type { Command } from 'commander';
import { LandfallError } from '../domain/errors.ts';
import type { Selection } from '../operations/select-machines.ts';

export type SelectionOptions = { group?: string; failed?: boolean };

/** `RUN [MACHINE] --group G`. */
export function addSelection(command: Command): Command {
  return command
    .argument('<run>', 'run id or wave name')
    .argument('[machine]', 'only this machine')
    .option('--group <group>', "only this group's machines");
}

/** Throws `usage` where the words contradict each other. */
export function readSelection(machine: string | undefined, { group, failed }: SelectionOptions): Selection {
  const given = [machine !== undefined, group !== undefined, failed === true].filter((is) => is).length;
  if (given > 1) {
    throw new LandfallError({
      code: 'usage',
      message: 'Name a machine or give one option that selects machines, not several.',
    });
  }
  if (machine !== undefined) return { kind: 'machine', machine };
  if (group !== undefined) return { kind: 'group', group };
  return failed === true ? { kind: 'failing' } : { kind: 'all' };
}
