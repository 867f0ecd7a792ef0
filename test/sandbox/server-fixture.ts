/** A sandbox of its own for a test file, in a fresh folder, with the vendor's clients pointed at it. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EBSClient } from '@aws-sdk/client-ebs';
import { EC2Client } from '@aws-sdk/client-ec2';
import { IAMClient } from '@aws-sdk/client-iam';
import { S3Client, type S3ClientConfig } from '@aws-sdk/client-s3';
import { STSClient } from '@aws-sdk/client-sts';
import { type Sandbox, type SandboxOptions, startSandbox } from '../../src/sandbox/server.ts';

export type Fixture = AsyncDisposable & {
  readonly sandbox: Sandbox;
  folder: string;
  /** Stops the sandbox and starts it again on the same folder. Clients must be made anew. */
  restart(): Promise<void>;
  /** One attempt per request, so that a test sees each answer. */
  s3(config?: S3ClientConfig): S3Client;
  ebs(): EBSClient;
  ec2(): EC2Client;
  iam(): IAMClient;
  sts(): STSClient;
};

export async function startFixture(options: Partial<SandboxOptions> = {}): Promise<Fixture> {
  const folder = await mkdtemp(join(tmpdir(), 'landfall-sandbox-'));
  let sandbox = await startSandbox({ folder, acceleration: 'tcg', ...options });
  const clients: { destroy(): void }[] = [];
  const own = <T extends { destroy(): void }>(client: T): T => {
    clients.push(client);
    return client;
  };
  const config = () => ({
    endpoint: sandbox.url,
    region: sandbox.region,
    credentials: sandbox.credentials,
    maxAttempts: 1,
  });
  return {
    get sandbox() {
      return sandbox;
    },
    folder,
    async restart() {
      await sandbox.stop();
      sandbox = await startSandbox({ folder, acceleration: 'tcg', ...options });
    },
    s3: (more = {}) => own(new S3Client({ ...config(), ...more })),
    ebs: () => own(new EBSClient(config())),
    ec2: () => own(new EC2Client(config())),
    iam: () => own(new IAMClient(config())),
    sts: () => own(new STSClient(config())),
    async [Symbol.asyncDispose]() {
      for (const client of clients) client.destroy();
      await sandbox.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
