/** The UEFI firmware of guests: Debian's OVMF, shared code and a private copy of its variables. */
import { access, copyFile, rename } from 'node:fs/promises';
import { LandfallError } from '../domain/errors.ts';

export const OVMF_CODE = '/usr/share/OVMF/OVMF_CODE_4M.fd';
const OVMF_VARIABLES = '/usr/share/OVMF/OVMF_VARS_4M.fd';

/** Boot entries that a guest writes are kept from one boot to the next, as a cloud does. Throws `tool-missing`. */
export async function provideUefiVariables(path: string): Promise<void> {
  if (await isReadable(path)) return;
  for (const file of [OVMF_CODE, OVMF_VARIABLES]) {
    if (!(await isReadable(file))) throw notInstalled(file);
  }
  await copyFile(OVMF_VARIABLES, `${path}.partial`);
  await rename(`${path}.partial`, path);
}

async function isReadable(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

function notInstalled(file: string): LandfallError {
  return new LandfallError({
    code: 'tool-missing',
    message: `The UEFI firmware for guests cannot be read from ${file}. Install it: apt-get install -y ovmf`,
  });
}
