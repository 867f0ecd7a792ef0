/** What a rehearsal finds in a fresh account: a bucket, and the role under which VM import reads it. */
import { CreateRoleCommand, IAMClient, PutRolePolicyCommand } from '@aws-sdk/client-iam';
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import type { Sandbox } from './server.ts';

export const DEMO_BUCKET = 'landfall-demo';
export const IMPORT_ROLE = 'vmimport';

/** Makes the demo bucket and the role `vmimport`; what stands already stays. */
export async function seedDemo(sandbox: Pick<Sandbox, 'url' | 'region' | 'credentials'>): Promise<void> {
  const { url: endpoint, region, credentials } = sandbox;
  const s3 = new S3Client({ endpoint, region, credentials });
  const iam = new IAMClient({ endpoint, region, credentials });
  try {
    await unlessExists(() =>
      s3.send(new CreateBucketCommand({ Bucket: DEMO_BUCKET, ...locationIn(region) })),
    );
    const trust = { RoleName: IMPORT_ROLE, AssumeRolePolicyDocument: JSON.stringify(TRUST) };
    await unlessExists(() => iam.send(new CreateRoleCommand(trust)));
    const PolicyDocument = JSON.stringify(importPolicy(DEMO_BUCKET));
    await iam.send(
      new PutRolePolicyCommand({ RoleName: IMPORT_ROLE, PolicyName: IMPORT_ROLE, PolicyDocument }),
    );
  } finally {
    s3.destroy();
    iam.destroy();
  }
}

/** https://docs.aws.amazon.com/vm-import/latest/userguide/required-permissions.html */
const TRUST = {
  Version: '2012-10-17',
  Statement: [
    {
      Effect: 'Allow',
      Principal: { Service: 'vmie.amazonaws.com' },
      Action: 'sts:AssumeRole',
      Condition: { StringEquals: { 'sts:Externalid': 'vmimport' } },
    },
  ],
};

function importPolicy(bucket: string) {
  return {
    Version: '2012-10-17',
    Statement: [
      {
        Effect: 'Allow',
        Action: ['s3:GetBucketLocation', 's3:GetObject', 's3:ListBucket'],
        Resource: [`arn:aws:s3:::${bucket}`, `arn:aws:s3:::${bucket}/*`],
      },
      {
        Effect: 'Allow',
        Action: ['ec2:ModifySnapshotAttribute', 'ec2:CopySnapshot', 'ec2:RegisterImage', 'ec2:Describe*'],
        Resource: '*',
      },
    ],
  };
}

function locationIn(region: string) {
  if (region === 'us-east-1') return {};
  return { CreateBucketConfiguration: { LocationConstraint: region as never } };
}

async function unlessExists(create: () => Promise<unknown>): Promise<void> {
  try {
    await create();
  } catch (error) {
    const name = error instanceof Error ? error.name : '';
    if (name !== 'BucketAlreadyOwnedByYou' && !name.startsWith('EntityAlreadyExists')) throw error;
  }
}
