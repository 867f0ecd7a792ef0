/** Certificates of a test's own, for libvirt over TLS: https://libvirt.org/kbase/tlscerts.html */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runTool } from '../../src/processes/child.ts';

const CA = 'cacert.pem';

/**
 * Into this folder, under the names that a `pkipath` wants: cacert.pem, servercert.pem, serverkey.pem (for 127.0.0.1),
 * clientcert.pem and clientkey.pem.
 */
export async function makeCertificates(folder: string): Promise<void> {
  const at = (name: string): string => join(folder, name);
  await openssl([
    ...['req', '-x509', '-subj', '/CN=a CA for one test', '-out', at(CA), '-keyout', at('cakey.pem')],
    ...NEW_KEY,
  ]);
  await sign(folder, 'server', 'subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth\n');
  await sign(folder, 'client', 'extendedKeyUsage=clientAuth\n');
}

const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'];

async function sign(folder: string, whose: string, extensions: string): Promise<void> {
  const at = (name: string): string => join(folder, name);
  await writeFile(at(`${whose}.ext`), extensions);
  await openssl([
    ...['req', '-subj', `/CN=${whose}`, '-out', at(`${whose}.csr`), '-keyout', at(`${whose}key.pem`)],
    ...NEW_KEY,
  ]);
  await openssl([
    ...[
      'x509',
      '-req',
      '-in',
      at(`${whose}.csr`),
      '-CA',
      at(CA),
      '-CAkey',
      at('cakey.pem'),
      '-CAcreateserial',
    ],
    ...['-days', '2', '-extfile', at(`${whose}.ext`), '-out', at(`${whose}cert.pem`)],
  ]);
}

async function openssl(args: readonly string[]): Promise<void> {
  await runTool({ command: 'openssl', args });
}
