/** What the estate is made from: these sources and the Debian packages that go into it. */
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { LandfallError } from '../../src/domain/errors.ts';
import { tryTool } from '../../src/processes/child.ts';

/** Packages whose files or tools shape the result. */
const PACKAGES = [
  'busybox-static',
  'syslinux',
  'syslinux-common',
  'mtools',
  'grub-efi-amd64-bin',
  'grub-common',
  'fdisk',
  'e2fsprogs',
  'qemu-utils',
];

/** Changes when a rebuild is due. Throws `tool-missing`, naming the packages that are not installed. */
export async function estateRecipe(signal?: AbortSignal): Promise<string> {
  const hash = createHash('sha256');
  const sources = (await readdir(import.meta.dirname)).sort();
  for (const name of sources) hash.update(name).update(await readFile(join(import.meta.dirname, name)));
  hash.update(await packageVersions(signal));
  return hash.digest('hex');
}

async function packageVersions(signal: AbortSignal | undefined): Promise<string> {
  const { stdout } = await tryTool({
    command: 'dpkg-query',
    // biome-ignore lint/suspicious/noTemplateCurlyInString: dpkg-query's own notation
    args: ['--show', '--showformat=${db:Status-Abbrev} ${Package} ${Version}\n', ...PACKAGES],
    ...(signal === undefined ? {} : { signal }),
  });
  const installed = stdout.split('\n').filter((line) => line.startsWith('ii'));
  const missing = PACKAGES.filter((name) => !installed.some((line) => line.split(/\s+/)[1] === name));
  if (missing.length === 0) return installed.join('\n');
  throw new LandfallError({
    code: 'tool-missing',
    message: `The estate cannot be built without the Debian packages ${missing.join(', ')}. Install them: apt-get install -y ${missing.join(' ')}`,
  });
}
