/**
 * The certificate of the sandbox's TLS: made by openssl, for 127.0.0.1 and localhost only, and kept. Clients trust it
 * as any private authority: by NODE_EXTRA_CA_CERTS, `tls.setDefaultCACertificates` or `curl --cacert`.
 */
import { X509Certificate } from 'node:crypto';
import { readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { runTool } from '../../processes/child.ts';

export type Certificate = { certificateFile: string; certificate: Buffer; key: Buffer };

const VALID_DAYS = 365;
/** Made anew when it ends within this. */
const REMAINING_MS = 30 * 24 * 60 * 60 * 1000;

/** Throws `tool-missing` without openssl. */
export async function provideCertificate(folder: string): Promise<Certificate> {
  const certificateFile = join(folder, 'certificate.pem');
  const keyFile = join(folder, 'certificate-key.pem');
  if (!(await isValid(certificateFile, keyFile))) await makeCertificate(certificateFile, keyFile);
  return { certificateFile, certificate: await readFile(certificateFile), key: await readFile(keyFile) };
}

async function isValid(certificateFile: string, keyFile: string): Promise<boolean> {
  try {
    await readFile(keyFile);
    const { validToDate } = new X509Certificate(await readFile(certificateFile));
    return validToDate.getTime() - Date.now() > REMAINING_MS;
  } catch {
    return false;
  }
}

/** The certificate takes its name last: where it is, its key is. */
async function makeCertificate(certificateFile: string, keyFile: string): Promise<void> {
  const partial = `${certificateFile}.partial`;
  await runTool({
    command: 'openssl',
    args: [
      ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'],
      ...['-keyout', keyFile, '-out', partial, '-days', String(VALID_DAYS)],
      ...['-subj', '/CN=Landfall sandbox', '-addext', 'subjectAltName=IP:127.0.0.1,DNS:localhost'],
      ...['-addext', 'keyUsage=critical,digitalSignature,keyCertSign'],
    ],
  });
  await rename(partial, certificateFile);
}
