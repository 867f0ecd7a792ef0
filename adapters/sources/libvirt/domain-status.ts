/** What libvirt says of a domain now: `virsh dominfo`. */
import { LandfallError } from '../../../src/domain/errors.ts';
import type { PowerState } from '../../../src/domain/ports.ts';
import type { Virsh, VirshCall } from './virsh.ts';

export type DomainStatus = {
  /** Is there a process that runs it, or holds it paused? */
  isActive: boolean;
  /** Of this start, a new one at each; null while it is off. */
  startId: string | null;
  /** libvirt's word: "running", "paused", "in shutdown", "pmsuspended", "shut off", "crashed" … */
  state: string;
  isAutostarted: boolean;
  /** A transient domain is forgotten when it is off. */
  isPersistent: boolean;
  /** It is off, but its memory was saved: its disks are those of a machine in the middle of its work. */
  hasSavedMemory: boolean;
};

/** The domain as messages name it, and its uuid, which survives renaming. */
export type NamedDomain = { name: string; uuid: string };

/** Throws `source-changed` where the domain is gone, and what virsh.ts throws. */
export async function readStatus(
  virsh: Virsh,
  domain: NamedDomain,
  { signal }: Pick<VirshCall, 'signal'> = {},
): Promise<DomainStatus> {
  const attempted = `Asking for the state of ${domain.name}`;
  try {
    return parseStatus(await virsh.run(['dominfo', domain.uuid], { attempted, signal }), domain.name);
  } catch (error) {
    throw asGone(error, { virsh, domain });
  }
}

/** Off is what no process runs and nothing waits to go on. Throws `source-not-off` where its memory was saved. */
export function powerStateOf(status: DomainStatus, { name }: NamedDomain): PowerState {
  if (status.isActive) return 'on';
  if (!status.hasSavedMemory) return 'off';
  throw new LandfallError({
    code: 'source-not-off',
    message: `${name} is off, but its memory was saved, and it would go on from there: its disks alone are those of a machine that lost power. Start it and shut it down; or, to give up what is in its memory, \`virsh managedsave-remove ${name}\`.`,
    context: { machine: name },
  });
}

/** A domain that libvirt no longer knows was undefined, or moved to another host, where it may run. */
export function asGone(error: unknown, { virsh, domain }: { virsh: Virsh; domain: NamedDomain }): unknown {
  if (!(error instanceof LandfallError) || error.code !== 'not-found') return error;
  return new LandfallError({
    code: 'source-changed',
    message: `${domain.name} (${domain.uuid}) is no longer at ${virsh.uri}: it was undefined there, or moved to another host. Bring it back, or plan it anew where it is.`,
    context: { machine: domain.name, uuid: domain.uuid },
    cause: error,
  });
}

export function parseStatus(dominfo: string, name: string): DomainStatus {
  const facts = new Map(
    dominfo.split('\n').map((line): [string, string] => {
      const at = line.indexOf(':');
      return [line.slice(0, at).trim(), line.slice(at + 1).trim()];
    }),
  );
  const id = facts.get('Id');
  const state = facts.get('State');
  if (id === undefined || state === undefined) {
    throw new LandfallError({
      code: 'tool-failed',
      message: `virsh did not tell the state of ${name}, but ${JSON.stringify(dominfo.slice(0, 200))}. Try again.`,
      retryable: true,
    });
  }
  return {
    isActive: id !== '-',
    startId: id === '-' ? null : id,
    state,
    isAutostarted: facts.get('Autostart') === 'enable',
    isPersistent: facts.get('Persistent') !== 'no',
    hasSavedMemory: facts.get('Managed save') === 'yes',
  };
}
