/** What the sandbox's Azure remembers. Tables are keyed by the resource's id in lower case. */
import type { JsonObject } from '../../domain/json.ts';

export type Tags = Readonly<Record<string, string>>;

export type AzureState = {
  groups: Record<string, ResourceGroup>;
  networks: Record<string, VirtualNetwork>;
  disks: Record<string, ManagedDisk>;
  machines: Record<string, VirtualMachine>;
  interfaces: Record<string, NetworkInterface>;
  securityGroups: Record<string, SecurityGroup>;
  /** These two are left out by a sandbox that knew none yet. */
  snapshots?: Record<string, DiskSnapshot>;
  encryptionSets?: Record<string, EncryptionSet>;
  /** By their own id. */
  operations: Record<string, OperationRecord>;
};

type Resource = { id: string; name: string; resourceGroup: string; location: string; tags: Tags };

export type ResourceGroup = { id: string; name: string; location: string; tags: Tags };

export type VirtualNetwork = Resource & {
  addressPrefixes: readonly string[];
  subnets: readonly { name: string; addressPrefix: string }[];
};

/**
 * upload:    ReadyToUpload ──beginGetAccess(Write)──► ActiveUpload ──endGetAccess, sound VHD──► Ready
 * otherwise: Ready at once. Ready is Unattached, ActiveSAS, Attached or Reserved, as who holds it says.
 */
export type DiskPhase = 'ReadyToUpload' | 'ActiveUpload' | 'Ready';

export type ManagedDisk = Resource & {
  zones: readonly string[];
  sku: string;
  osType: 'Linux' | 'Windows' | null;
  generation: 'V1' | 'V2' | null;
  /** The whole VHD, footer included; null for a disk that was made empty. */
  uploadSizeBytes: number | null;
  /** Without footer. */
  diskSizeBytes: number;
  encryption: { type: string; diskEncryptionSetId?: string | undefined };
  securityType: string | null;
  networkAccessPolicy: string;
  publicNetworkAccess: string;
  /** Names its files, and its blob. */
  uniqueId: string;
  createdAt: number;
  phase: DiskPhase;
  /** The machine that holds it. */
  managedBy: string | null;
  accesses: readonly DiskAccess[];
  /** A machine has written to it: its bytes are no longer those of the upload. */
  hasBooted: boolean;
};

export type DiskAccess = { policyId: string; level: 'Read' | 'Write'; expiresAt: number };

export type DiskSnapshot = Resource & {
  sourceId: string;
  isIncremental: boolean;
  uniqueId: string;
  /** The disk's, whose pages it shows. */
  blobId: string;
  diskSizeBytes: number;
  createdAt: number;
  accesses: readonly DiskAccess[];
};

/** A key of the customer's, by which disks are encrypted. */
export type EncryptionSet = Resource;

export type PowerState = 'starting' | 'running' | 'stopping' | 'stopped' | 'deallocating' | 'deallocated';

export type DeleteOption = 'Delete' | 'Detach';

export type MachineDisk = {
  diskId: string;
  /** null: the OS disk. */
  lun: number | null;
  deleteOption: DeleteOption;
  caching: string;
};

export type VirtualMachine = Resource & {
  zones: readonly string[];
  vmId: string;
  size: string;
  osType: 'Linux' | 'Windows';
  generation: 'V1' | 'V2';
  /** The OS disk first, then by lun. */
  disks: readonly MachineDisk[];
  interfaces: readonly { id: string; primary: boolean; deleteOption: DeleteOption }[];
  security: JsonObject | null;
  hasBootDiagnostics: boolean;
  createdAt: number;
  provisioning: 'Creating' | 'Updating' | 'Succeeded' | 'Failed' | 'Deleting';
  power: PowerState;
};

export type NetworkInterface = Resource & {
  resourceGuid: string;
  securityGroupId: string | null;
  addresses: readonly IpConfiguration[];
  acceleratedNetworking: boolean;
  mac: string;
  machineId: string | null;
};

export type IpConfiguration = {
  name: string;
  subnetId: string;
  address: string;
  allocation: 'Static' | 'Dynamic';
  primary: boolean;
};

export type SecurityGroup = Resource & { resourceGuid: string; rules: readonly SecurityRule[] };

export type SecurityRule = { name: string; properties: JsonObject & { priority: number; direction: string } };

export type OperationRecord = {
  id: string;
  status: 'InProgress' | 'Succeeded' | 'Failed';
  startedAt: number;
  endedAt: number | null;
  /** What the operation gives, at its Location. */
  output: JsonObject | null;
  error: { status: number; body: JsonObject } | null;
};
