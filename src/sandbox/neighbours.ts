/** What one service of the sandbox asks of another: EC2's importer reads objects and looks at roles. */

export type StoredObject = {
  /** Absolute path of a file that holds exactly the object's bytes; not to be changed. */
  file: string;
  bytes: number;
  etag: string;
};

export type ObjectReader = {
  /** null: no such bucket or key. The file may be replaced or removed at any later time: open it once. */
  find(bucket: string, key: string): Promise<StoredObject | null>;
  /** null: no such bucket. */
  bucketRegion(bucket: string): string | null;
};

export type Role = {
  name: string;
  arn: string;
  /** May this service take the role, for example `vmie.amazonaws.com` with `sts:Externalid` = `vmimport`? */
  trusts(service: string, conditions?: Readonly<Record<string, string>>): boolean;
  /** Do the role's policies allow the action, for example `s3:GetObject` on `arn:aws:s3:::acme/web01.vmdk`? */
  allows(action: string, resource: string): boolean;
};

export type InstanceProfile = { name: string; arn: string; id: string; roles: readonly string[] };

export type RoleReader = {
  find(roleName: string): Role | null;
  findInstanceProfile(nameOrArn: string): InstanceProfile | null;
};
