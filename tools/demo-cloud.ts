/** The look-alike clouds that the demo can migrate into. */
import { join } from 'node:path';

export type DemoCloud = {
  wave: string;
  /** What `landfall sandbox` is told beside port and folder. */
  sandboxOptions: readonly string[];
  /** Under the demo's home. */
  folder: string;
  serves: string;
};

const CLOUDS: Readonly<Record<string, DemoCloud>> = {
  aws: {
    wave: join('workflows', 'demo.yaml'),
    sandboxOptions: [],
    folder: 'sandbox',
    serves: 'S3, EC2, STS and IAM on localhost, instances are real guests',
  },
  azure: {
    wave: join('workflows', 'demo-azure.yaml'),
    sandboxOptions: ['--azure'],
    folder: 'sandbox-azure',
    serves: 'Resource Manager and managed disks on localhost, virtual machines are real guests',
  },
};

export const CLOUD_NAMES = Object.keys(CLOUDS);
export const CLOUD_FOLDERS = Object.values(CLOUDS).map(({ folder }) => folder);

/** null where there is no such cloud. */
export function findCloud(name: string): DemoCloud | null {
  return Object.hasOwn(CLOUDS, name) ? (CLOUDS[name] ?? null) : null;
}
