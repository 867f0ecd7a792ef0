/** What an operator should know of domains before anything moves: what cannot be read, what stays behind, what will surprise. */
import { failed, look, passed, warned } from '../../../src/domain/finding.ts';
import { isWindows } from '../../../src/domain/machine.ts';
import type { Finding, PlannedMachine } from '../../../src/domain/ports.ts';
import { followChain } from './chain.ts';
import { locateDisk } from './disk-place.ts';
import type { Domain, DomainDisk } from './domain.ts';
import type { Grounds } from './export.ts';
import { type FoundDomain, findDomains } from './inventory.ts';
import { labelOf } from './machine.ts';

/** Looks at each machine on its own: what one lacks does not hide what another does. */
export async function preflightLibvirt(
  grounds: Grounds,
  machines: readonly PlannedMachine[],
  signal: AbortSignal,
): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const planned of machines) {
    const subject = planned.machine.name;
    findings.push(
      ...(await look({ subject, signal }, async () => {
        const selector = { uuid: planned.machine.uuid ?? '' };
        const [found] = await findDomains(grounds.virsh, selector, signal);
        return found === undefined ? [] : await checkDomain({ grounds, planned, found, signal });
      })),
    );
  }
  return findings;
}

type Checked = { grounds: Grounds; planned: PlannedMachine; found: FoundDomain; signal: AbortSignal };

async function checkDomain(checked: Checked): Promise<Finding[]> {
  const { planned, found } = checked;
  const { machine } = planned;
  const findings = [...checkStatus(found, machine.name), ...checkHardware(found.domain, machine.name)];
  if (found.domain.looksLikeWindows && !isWindows(machine)) findings.push(maybeWindows(machine.name));
  for (const disk of found.domain.disks) findings.push(...(await checkDisk(checked, disk)));
  return findings;
}

function checkStatus(found: FoundDomain, name: string): Finding[] {
  const { domain, status } = found;
  const findings: Finding[] = [];
  if (!status.isPersistent) {
    const remedy = `Make it persistent: \`virsh dumpxml ${domain.name} > FILE && virsh define FILE\`.`;
    findings.push(
      failed(
        name,
        'is transient: libvirt forgets it once it is off, and nothing could start it again',
        remedy,
      ),
    );
  }
  if (status.hasSavedMemory) {
    const remedy = `Start it and shut it down; or \`virsh managedsave-remove ${domain.name}\` gives up what is in its memory.`;
    findings.push(
      failed(
        name,
        'is off with its memory saved: its disks alone are those of a machine that lost power',
        remedy,
      ),
    );
  }
  if (!domain.staysOff) {
    const remedy = `Set \`<on_poweroff>destroy</on_poweroff>\` with \`virsh edit ${domain.name}\`.`;
    const message = 'starts again when its guest turns it off';
    findings.push(status.isActive ? failed(name, message, remedy) : warned(name, message, remedy));
  }
  return [passed(name, describeStatus(found)), ...findings];
}

/** What a cutover will change about it, and a rollback put back. */
function describeStatus({ domain, status, host }: FoundDomain): string {
  const state = `is ${status.state === 'shut off' ? 'off' : status.state}${host === null ? '' : ` on ${host}`}`;
  const autostart = `${status.isAutostarted ? 'started' : 'not started'} with its host`;
  const tags = domain.tags.length === 0 ? '' : `, tagged ${domain.tags.join(', ')}`;
  return `${state}, ${autostart}${tags}`;
}

function checkHardware({ leftOut, tpm, firmware, nvram, passedThrough }: Domain, name: string): Finding[] {
  const findings = leftOut.map(({ target, what, why }) =>
    passed(name, `its ${what} ${target} is left out: ${why}`),
  );
  if (tpm !== null) {
    const remedy = 'Suspend BitLocker, or have the recovery keys at hand; unbind what else is sealed to it.';
    findings.push(
      warned(
        name,
        `its virtual TPM (${tpm}) stays behind, and what is sealed to it cannot be opened`,
        remedy,
      ),
    );
  }
  if (firmware === 'uefi') {
    const remedy = 'See that it boots without: that \\EFI\\BOOT\\BOOTX64.EFI is on the disk that boots.';
    const message = `its UEFI variables${nvram === null ? '' : ` (${nvram})`} stay behind: boot entries, and Secure Boot keys of its own`;
    findings.push(warned(name, message, remedy));
  }
  for (const what of passedThrough) {
    findings.push(warned(name, `uses ${what}, which stays behind`, 'See that the guest does without.'));
  }
  return findings;
}

function maybeWindows(name: string): Finding {
  const message =
    'is set up as Windows guests are, and nothing says that it is one: its drivers would not be injected';
  return warned(name, message, 'Say `os: windows` under `from:`, or what else it is.');
}

/** The guard can judge only what nobody writes to: while the machine runs, the path to its files is all that is tried. */
async function checkDisk(checked: Checked, disk: DomainDisk): Promise<Finding[]> {
  const { grounds, planned, found, signal } = checked;
  const subject = labelOf({ ...found.domain, name: planned.machine.name }, disk);
  const findings = await look({ subject, signal }, async () => {
    const { virsh, place, backingFolders: folders } = grounds;
    const top = await locateDisk({ virsh, place, domain: found.domain, disk, signal });
    if (found.status.isActive) {
      await using _readable = await place.openFile(top.path, signal);
      return [];
    }
    const chain = await followChain({ place, top, named: disk.backing, folders, signal });
    const under = chain.files.slice(1).map(({ path }) => path);
    return under.length === 0 ? [] : [passed(subject, `is read together with ${under.join(', ')}`)];
  });
  if (disk.isTransient) {
    const message =
      'is transient: what the guest wrote was dropped when it went off, and what is under it is taken';
    findings.push(warned(subject, message, 'Leave it so where that is meant.'));
  }
  if (disk.isReadOnly) {
    const message = 'is read-only here, and will be writable where it lands';
    findings.push(warned(subject, message, 'Let the guest mount it read-only, where that matters.'));
  }
  return findings;
}
