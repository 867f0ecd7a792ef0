/**
 * What a machine shows while it boots, as blobs behind signed addresses: its serial console and its screen.
 * https://learn.microsoft.com/rest/api/compute/virtual-machines/retrieve-boot-diagnostics-data
 */
import { createHash, createHmac } from 'node:crypto';
import type { HttpAnswer, HttpRequest } from '../http.ts';
import { Refusal } from '../refusal.ts';
import { type ArmCall, answerArmJson } from './arm-call.ts';
import type { AzureDesk } from './cloud.ts';
import { authenticationFailed, invalidParameter, notAllowed, permissionMismatch } from './refusals.ts';
import { pngToBmp } from './screenshot.ts';
import type { VirtualMachine } from './state.ts';
import { requireMachine } from './virtual-machines.ts';

export type DiagnosticsCall = { action: 'GetSerialConsole' | 'GetScreenshot'; vmId: string };

/** What Azure keeps of a console. */
const CONSOLE_BYTES = 1024 * 1024;
const DEFAULT_MINUTES = 120;
const MAX_MINUTES = 1440;
const ADDRESS = /^\/bootdiagnostics\/([0-9a-f-]+)\/(serialconsole\.log|screenshot\.bmp)$/;

export function retrieveDiagnostics(desk: AzureDesk, call: ArmCall): HttpAnswer {
  const machine = requireMachine(desk, call);
  if (!machine.hasBootDiagnostics)
    throw notAllowed(`Boot diagnostics is not enabled for VM '${machine.name}'.`);
  const minutes = Number(call.http.query.get('sasUriExpirationTimeInMinutes') ?? DEFAULT_MINUTES);
  if (!Number.isInteger(minutes) || minutes < 1 || minutes > MAX_MINUTES) {
    throw invalidParameter(
      'sasUriExpirationTimeInMinutes',
      `The value must be between 1 and ${MAX_MINUTES}.`,
    );
  }
  const expiry = new Date(desk.now() + minutes * 60_000).toISOString();
  const address = (file: string): string => {
    const path = `/bootdiagnostics/${machine.vmId}/${file}`;
    const query = { sv: '2018-03-28', sr: 'b', sp: 'r', se: expiry, sig: sign(desk, path, expiry) };
    return `${desk.url()}${path}?${new URLSearchParams(query)}`;
  };
  return answerArmJson(200, {
    consoleScreenshotBlobUri: address('screenshot.bmp'),
    serialConsoleLogBlobUri: address('serialconsole.log'),
  });
}

/** null where the address is none of these blobs. */
export function readDiagnosticsCall({ rawPath }: HttpRequest): DiagnosticsCall | null {
  const [, vmId, file] = ADDRESS.exec(rawPath) ?? [];
  if (vmId === undefined) return null;
  return { vmId, action: file === 'screenshot.bmp' ? 'GetScreenshot' : 'GetSerialConsole' };
}

/** Throws a Refusal in Blob Storage's words. */
export async function answerDiagnosticsCall(
  desk: AzureDesk,
  call: DiagnosticsCall,
  http: HttpRequest,
): Promise<HttpAnswer> {
  if (http.method !== 'GET' && http.method !== 'HEAD') throw permissionMismatch();
  checkSignature(desk, http);
  const machine = Object.values(desk.store.read().machines).find(({ vmId }) => vmId === call.vmId);
  const bytes = machine === undefined ? null : await readBytes({ desk, call, machine, signal: http.signal });
  if (bytes === null) {
    throw new Refusal({ status: 404, code: 'BlobNotFound', message: 'The specified blob does not exist.' });
  }
  return answerBlob(http, bytes);
}

async function readBytes({
  desk,
  call,
  machine,
  signal,
}: {
  desk: AzureDesk;
  call: DiagnosticsCall;
  machine: VirtualMachine;
  signal: AbortSignal;
}): Promise<Buffer | null> {
  switch (call.action) {
    case 'GetSerialConsole':
      return (await desk.fleet.console(machine.id)).subarray(-CONSOLE_BYTES);
    case 'GetScreenshot': {
      const png = await desk.fleet.screenshot(machine.id, signal);
      return png === null ? null : pngToBmp(png);
    }
    default:
      return call.action satisfies never;
  }
}

/** Ranges as clients of Blob Storage ask for them: `bytes=0-` and `bytes=0-1023`. */
function answerBlob({ method, headers: asked }: HttpRequest, bytes: Buffer): HttpAnswer {
  const [, start, end] = /^bytes=(\d+)-(\d*)$/.exec(String(asked['x-ms-range'] ?? asked.range ?? '')) ?? [];
  const from = Number(start ?? 0);
  const to = end === undefined || end === '' ? bytes.length - 1 : Math.min(Number(end), bytes.length - 1);
  if (start !== undefined && from >= bytes.length) {
    const message = 'The range specified is invalid for the current size of the resource.';
    throw new Refusal({ status: 416, code: 'InvalidRange', message });
  }
  const piece = bytes.subarray(from, to + 1);
  const headers = {
    'content-type': 'application/octet-stream',
    'accept-ranges': 'bytes',
    'x-ms-blob-type': 'BlockBlob',
    'last-modified': new Date().toUTCString(),
    etag: `"0x${createHash('sha256').update(bytes).digest('hex').slice(0, 16).toUpperCase()}"`,
    ...(start === undefined ? {} : { 'content-range': `bytes ${from}-${to}/${bytes.length}` }),
  };
  const status = start === undefined ? 200 : 206;
  if (method === 'HEAD')
    return { status: 200, headers, body: { kind: 'omitted', lengthBytes: bytes.length } };
  return { status, headers, body: { kind: 'bytes', bytes: piece } };
}

function checkSignature(desk: AzureDesk, { rawPath, query }: HttpRequest): void {
  const expiry = query.get('se') ?? '';
  if (query.get('sig') !== sign(desk, rawPath, expiry))
    throw authenticationFailed('Signature did not match.');
  if (Date.parse(expiry) <= desk.now()) {
    throw authenticationFailed(`Signature not valid in the specified time frame: Expiry [${expiry}]`);
  }
}

function sign({ account }: AzureDesk, path: string, expiry: string): string {
  return createHmac('sha256', account.sasSecret).update(`${path}\n${expiry}`).digest('base64');
}
