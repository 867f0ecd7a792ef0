/** What AWS demands of the types of volumes. https://docs.aws.amazon.com/ebs/latest/userguide/ebs-volume-types.html */

/** The least size of a volume of the type, in GiB. */
export function leastGibOf(volumeType: string): number {
  return volumeType === 'io2' ? 4 : 1;
}

/** The most, in GiB; snapshots of disks beyond it could be made, but nothing could start from them. */
export function mostGibOf(volumeType: string): number {
  return volumeType === 'gp2' ? 16_384 : 65_536;
}

/** io2 has no default for its IOPS; 3000 is what gp3 gives. */
export function iopsFor(volumeType: string): { Iops?: number } {
  return volumeType === 'io2' ? { Iops: 3000 } : {};
}
