/**
 * What the sandbox's EC2 knows, as one JSON document. Times are milliseconds since the epoch; sizes say their unit.
 * Volatile facts (progress of a conversion, a guest's console) live with whoever does the work, not here.
 */

import type { JsonObject } from '../../domain/json.ts';

export type Tags = Record<string, string>;

export type Ec2State = {
  importTasks: Record<string, ImportTask>;
  snapshots: Record<string, Snapshot>;
  images: Record<string, MachineImage>;
  instances: Record<string, Instance>;
  volumes: Record<string, Volume>;
  groups: Record<string, SecurityGroup>;
  vpcs: Record<string, Vpc>;
  subnets: Record<string, Subnet>;
  /** By client token: what StartSnapshot answered, also of snapshots that are gone since. */
  startedSnapshots?: Record<string, StartedSnapshot>;
};

/** What ClientToken identified, and with which parameters: the same token with others is a mismatch. */
export type IdempotencyKey = { token: string; parameters: string };

/**
 *   active ──► completed
 *     └──► failed      (shown as `deleting`, then `deleted`, as AWS does; the status message says why)
 */
export type ImportTask = {
  id: string;
  kind: 'snapshot' | 'image';
  status: 'active' | 'completed' | 'failed';
  statusMessage: string | null;
  idempotency: IdempotencyKey | null;
  description: string;
  roleName: string;
  encrypted: boolean;
  kmsKeyId: string | null;
  disks: ImportDisk[];
  /** For the kind `image` only. */
  image: ImportedImage | null;
  tags: Tags;
  createdAt: number;
  endedAt: number | null;
};

export const IMPORT_FORMATS = ['VHD', 'VMDK', 'RAW', 'VHDX'] as const;
export type ImportFormat = (typeof IMPORT_FORMATS)[number];

export type ImportDisk = {
  format: ImportFormat | null;
  description: string;
  deviceName: string | null;
  /** null where the disk is a snapshot that exists already. */
  source: { bucket: string; key: string; etag: string; bytes: number } | null;
  /** Where the disk went; set when its conversion begins, or given. */
  snapshotId: string | null;
};

export type ImportedImage = {
  architecture: string;
  platform: string;
  bootMode: BootMode | null;
  licenseType: string | null;
  imageId: string | null;
};

export type BootMode = 'legacy-bios' | 'uefi' | 'uefi-preferred';

export type StartedSnapshot = { parameters: string; answer: JsonObject; startedAt: number };

/** Its bytes are `snapshots/ID.raw`, of exactly `bytes`, once it is completed. */
export type Snapshot = {
  id: string;
  state: 'pending' | 'completed' | 'error';
  /** Why it is in `error`. */
  stateMessage?: string;
  /** Of snapshots that are written block by block; imported ones have none. */
  writing?: BlockWriting;
  bytes: number;
  volumeSizeGib: number;
  description: string;
  encrypted: boolean;
  kmsKeyId: string | null;
  tags: Tags;
  createdAt: number;
  completedAt: number | null;
};

/**
 *   pending ──► pending, with `completion` ──► completed
 *      └──► error: idle for longer than `timeoutMinutes`
 */
export type BlockWriting = {
  /** Its blocks shine through where this one has none. */
  parentId: string | null;
  /** The snapshot that the line of parents began with; two of one line can be compared. */
  lineage: string;
  timeoutMinutes: number;
  /** The last write, up to a minute too early: a write costs no update of this state. */
  touchedAt: number;
  /** Percent, as the writer says; as old as `touchedAt`. */
  progress: number;
  /** What CompleteSnapshot was told; no more blocks are taken. */
  completion: Completion | null;
};

export type Completion = { changedBlocksCount: number; checksum: string | null };

export type BlockDevice = {
  deviceName: string;
  snapshotId: string | null;
  volumeSizeGib: number;
  volumeType: string;
  iops: number | null;
  throughput: number | null;
  deleteOnTermination: boolean;
  encrypted: boolean;
  kmsKeyId: string | null;
};

export type MachineImage = {
  id: string;
  name: string;
  description: string | null;
  architecture: string;
  virtualizationType: 'hvm' | 'paravirtual';
  bootMode: BootMode | null;
  tpmSupport: string | null;
  imdsSupport: string | null;
  enaSupport: boolean;
  sriovNetSupport: string | null;
  platform: string | null;
  rootDeviceName: string;
  blockDevices: BlockDevice[];
  tags: Tags;
  createdAt: number;
};

/** Its bytes are `volumes/ID.qcow2`: an overlay of its snapshot's file, or blank. */
export type Volume = {
  id: string;
  sizeGib: number;
  snapshotId: string | null;
  volumeType: string;
  iops: number | null;
  throughput: number | null;
  encrypted: boolean;
  kmsKeyId: string | null;
  zone: string;
  attachment: VolumeAttachment | null;
  tags: Tags;
  createdAt: number;
};

export type VolumeAttachment = {
  instanceId: string;
  deviceName: string;
  deleteOnTermination: boolean;
  attachedAt: number;
};

/**
 *   pending ──► running ──► stopping ──► stopped ──► pending (started again)
 *      └───────────┴───────────┴────────────┴──────► shutting-down ──► terminated
 */
export type InstanceState = 'pending' | 'running' | 'shutting-down' | 'terminated' | 'stopping' | 'stopped';

export type Instance = {
  id: string;
  reservationId: string;
  launchIndex: number;
  state: InstanceState;
  /** Why it is not running, in AWS's codes. */
  stateReason: { code: string; message: string } | null;
  idempotency: IdempotencyKey | null;
  imageId: string;
  instanceType: string;
  bootMode: BootMode | null;
  tpmSupport: string | null;
  enaSupport: boolean;
  platform: string | null;
  rootDeviceName: string;
  /** Volume ids in the order in which the guest sees them. */
  volumeIds: string[];
  interface: NetworkInterface;
  keyName: string | null;
  userData: string | null;
  profileArn: string | null;
  profileId: string | null;
  ebsOptimized: boolean;
  monitoring: boolean;
  sourceDestCheck: boolean;
  disableApiTermination: boolean;
  disableApiStop: boolean;
  shutdownBehavior: 'stop' | 'terminate';
  metadata: { httpTokens: string; hopLimit: number; httpEndpoint: string; instanceTags: string };
  tags: Tags;
  launchedAt: number;
  /** When it last left the running states. */
  endedAt: number | null;
};

export type NetworkInterface = {
  id: string;
  attachmentId: string;
  subnetId: string;
  vpcId: string;
  zone: string;
  privateIp: string;
  mac: string;
  description: string;
  groupIds: string[];
  tags: Tags;
};

export type SecurityGroup = {
  id: string;
  name: string;
  description: string;
  vpcId: string;
  rules: SecurityGroupRule[];
  tags: Tags;
  createdAt: number;
};

/** One peer and one range of ports, as AWS keeps them. */
export type SecurityGroupRule = {
  id: string;
  isEgress: boolean;
  /** "-1" means all. */
  protocol: string;
  fromPort: number | null;
  toPort: number | null;
  peer: { kind: 'ipv4' | 'ipv6' | 'prefix-list' | 'group'; value: string };
  description: string | null;
};

export type Vpc = { id: string; cidr: string; isDefault: boolean; tags: Tags };

export type Subnet = {
  id: string;
  vpcId: string;
  cidr: string;
  zone: string;
  zoneId: string;
  isDefault: boolean;
  tags: Tags;
};

export const GIB = 1024 ** 3;

export function isLive(instance: Instance): boolean {
  return instance.state !== 'terminated';
}

/** Instances whose guest runs or is about to: they count against the quota. */
export function usesCapacity(instance: Instance): boolean {
  return instance.state === 'pending' || instance.state === 'running';
}
