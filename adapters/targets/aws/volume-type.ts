/** What AWS demands of the types of volumes. https://docs.aws.amazon.com/ebs/latest/userguide/ebs-volume-types.html */

/** The least size of a volume of the type, in GiB. */
export function leastGibOf(volumeType: string): number {
  return volumeType === 'io2' ? 4 : 1;
}

/** io2 has no default for its IOPS; 3000 is what gp3 gives. */
export function iopsFor(volumeType: string): { Iops?: number } {
  return volumeType === 'io2' ? { Iops: 3000 } : {};
}
