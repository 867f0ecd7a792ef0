/**
 * Landfall's note on a domain: an element of its own namespace in the domain's metadata. What people wrote into title
 * and description stays as it is; when the note is taken away, an empty `<metadata/>` may be left.
 * https://libvirt.org/formatdomain.html#general-metadata
 */
import { LandfallError } from '../../../src/domain/errors.ts';
import { parseXml } from '../../../src/images/ovf-xml.ts';
import { asGone, type NamedDomain } from './domain-status.ts';
import type { Virsh } from './virsh.ts';

type Noted = { virsh: Virsh; domain: NamedDomain; signal: AbortSignal };

const NAMESPACE = 'urn:landfall:note';
const MAX_NOTE_CHARACTERS = 500;

/** null: there is none. */
export async function readNote({ virsh, domain, signal }: Noted): Promise<string | null> {
  const attempted = `Reading Landfall's note on ${domain.name}`;
  try {
    const xml = await virsh.run(['metadata', domain.uuid, NAMESPACE, '--config'], { attempted, signal });
    return parseXml({ bytes: Buffer.from(xml), label: domain.name, root: 'note' }).text || null;
  } catch (error) {
    if (isAbsent(error)) return null;
    throw asGone(error, { virsh, domain });
  }
}

export async function writeNote(noted: Noted, note: string | null): Promise<void> {
  const { virsh, domain, signal } = noted;
  if ((await readNote(noted)) === note) return;
  const change =
    note === null ? ['--remove'] : ['--key', 'landfall', '--set', `<note>${escapeXml(note)}</note>`];
  const attempted = `Writing Landfall's note on ${domain.name}`;
  try {
    await virsh.run(['metadata', domain.uuid, NAMESPACE, '--config', ...change], { attempted, signal });
  } catch (error) {
    throw asGone(error, { virsh, domain });
  }
}

function isAbsent(error: unknown): boolean {
  return (
    error instanceof LandfallError &&
    /metadata not found|metadata element is not present/i.test(error.message)
  );
}

/** One line, without what XML cannot hold. */
function escapeXml(note: string): string {
  return note
    .replace(/\p{Cc}+/gu, ' ')
    .slice(0, MAX_NOTE_CHARACTERS)
    .replace(/&/g, '&amp;')
    .replace(/</g, '&lt;')
    .replace(/>/g, '&gt;');
}
