/** What a cutover does to domains. Every command goes by uuid: whatever a wave, or an operator since, calls them. */
import { LandfallError } from '../../../src/domain/errors.ts';
import type { Machine } from '../../../src/domain/machine.ts';
import type { SourceControl } from '../../../src/domain/ports.ts';
import { asGone, type NamedDomain, readStatus } from './domain-status.ts';
import { readNote, writeNote } from './note.ts';
import { cutOff, powerOn, requestShutDown } from './power.ts';
import type { Virsh } from './virsh.ts';

export function createControl(virsh: Virsh): SourceControl {
  const on = (machine: Machine, signal: AbortSignal) => ({ virsh, domain: namedDomain(machine), signal });
  return {
    requestShutDown: (machine, signal) => requestShutDown(on(machine, signal)),
    cutOff: (machine, signal) => cutOff(on(machine, signal)),
    powerOn: (machine, signal) => powerOn(on(machine, signal)),
    isAutostarted: async (machine, signal) =>
      (await readStatus(virsh, namedDomain(machine), { signal })).isAutostarted,
    setAutostart: (machine, isAutostarted, signal) => setAutostart(on(machine, signal), isAutostarted),
    readNote: (machine, signal) => readNote(on(machine, signal)),
    writeNote: (machine, note, signal) => writeNote(on(machine, signal), note),
  };
}

export function namedDomain({ name, uuid }: Machine): NamedDomain {
  // Every domain has one: a machine without came from somewhere else.
  if (uuid === null) throw new TypeError(`the machine ${name} of the source libvirt has no uuid`);
  return { name, uuid };
}

async function setAutostart(
  { virsh, domain, signal }: { virsh: Virsh; domain: NamedDomain; signal: AbortSignal },
  isWanted: boolean,
): Promise<void> {
  if ((await readStatus(virsh, domain, { signal })).isAutostarted === isWanted) return;
  const attempted = `Turning autostart of ${domain.name} ${isWanted ? 'on' : 'off'}`;
  const args = ['autostart', domain.uuid, ...(isWanted ? [] : ['--disable'])];
  try {
    await virsh.run(args, { attempted, signal });
  } catch (error) {
    throw asGone(error, { virsh, domain });
  }
  if ((await readStatus(virsh, domain, { signal })).isAutostarted === isWanted) return;
  throw new LandfallError({
    code: 'tool-failed',
    message: `${attempted} at ${virsh.uri} had no effect. See whether something else manages that host's machines, such as Pacemaker.`,
    retryable: true,
    context: { machine: domain.name },
  });
}
