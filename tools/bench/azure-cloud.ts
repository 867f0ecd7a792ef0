/** The sink for Azure's pages in a process of its own, and what reaches it. */
import { join } from 'node:path';
import type { JsonObject } from '../../src/domain/json.ts';
import { startTool } from '../../src/processes/child.ts';
import type { Cloud } from './cloud.ts';

export type AzureCloud = Cloud & {
  /** Of the wave's target. */
  azure: JsonObject;
  /** Takes a VHD of so many bytes; gives the address of its pages. */
  openDisk(uploadBytes: number): Promise<string>;
};

type Told = { url: string; plainUrl: string; certificateFile: string };

const SINK = join(import.meta.dirname, 'azure-sink.ts');
const SUBSCRIPTION = '00000000-0000-4000-8000-000000000000';
/** What a request takes to a region of the same continent and back. */
const ANSWER_AFTER_MS = 20;

export async function startAzureCloud(options: {
  /** For its certificate; removed by whoever made it. */
  folder: string;
  signal: AbortSignal;
}): Promise<AzureCloud> {
  const { folder, signal } = options;
  const told = Promise.withResolvers<Told>();
  const sink = await startTool({
    command: process.execPath,
    args: [SINK, folder, String(ANSWER_AFTER_MS)],
    signal,
    onLine: (line) => told.resolve(JSON.parse(line) as Told),
  });
  void sink.exited.then(({ stderr }) => told.reject(new Error(`The sink ended: ${stderr}`)));
  const { url, plainUrl, certificateFile } = await told.promise;
  const azure = {
    subscription: SUBSCRIPTION,
    resourceGroup: 'bench',
    location: 'westeurope',
    endpoint: url,
  };
  return {
    url,
    bucket: '',
    azure,
    environment: {
      IDENTITY_ENDPOINT: `${plainUrl}/token`,
      IDENTITY_HEADER: 'sink',
      NODE_EXTRA_CA_CERTS: certificateFile,
    },
    openDisk: async (uploadBytes) =>
      (await fetch(`${plainUrl}/disk?bytes=${uploadBytes}`, { method: 'POST', signal })).text(),
    [Symbol.asyncDispose]: () => sink[Symbol.asyncDispose](),
  };
}
