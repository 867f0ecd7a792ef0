/**
 * What AWS's importer says when it gives up, in plain words and with a remedy.
 * https://docs.aws.amazon.com/vm-import/latest/userguide/import-troubleshooting.html
 */

export type ImportFailure = {
  explanation: string;
  remedy: string;
  /** May the same import succeed if it is simply tried again? */
  retryable: boolean;
};

type KnownMessage = { pattern: RegExp; explanation: string; remedy: string; retryable?: boolean };

const KNOWN_MESSAGES: readonly KnownMessage[] = [
  {
    pattern: /Unsupported VMDK File Format/i,
    explanation: 'AWS takes only stream-optimised VMDK files, and this one has another layout',
    remedy:
      'Retry; if it fails again, the file in the bucket was not made by Landfall: discard the machine and start over.',
  },
  {
    pattern: /service role .* (does not exist|provided does not)|does not have sufficient permission/i,
    explanation:
      "AWS's importer could not use its service role: the role is missing, does not trust vmie.amazonaws.com, or may not read the bucket",
    remedy: 'Create or correct the role (`role` of the target) as docs/aws.md shows, then retry.',
  },
  {
    pattern: /Unsupported kernel version/i,
    explanation: "the guest's kernel is not among those that AWS's importer knows",
    remedy: 'Use `via: import-snapshot`, which takes the disks as they are, or install a supported kernel.',
  },
  {
    pattern: /Unable to determine kernel version/i,
    explanation: "AWS's importer found no kernel that it knows in the guest's /boot",
    remedy: 'Use `via: import-snapshot`, which does not look into the guest.',
  },
  {
    pattern: /Unknown OS|Missing OS files|No valid partitions/i,
    explanation: 'AWS found no operating system that it knows on the boot disk',
    remedy:
      'Check which disk boots; encrypted or unusual guests need `via: import-snapshot`, which does not look into the guest.',
  },
  {
    pattern: /grub\/menu\.lst|Multiple different grub/i,
    explanation: 'the guest has several GRUB configurations that differ',
    remedy: 'Remove the stale ones in the guest, or use `via: import-snapshot`.',
  },
  {
    pattern: /BLSC?-style GRUB/i,
    explanation: "the guest's boot loader uses BLS entries, which AWS's importer cannot change",
    remedy: 'Use `via: import-snapshot`, or switch the guest to plain GRUB entries.',
  },
  {
    pattern: /initramfs|initrd/i,
    explanation: "AWS's importer could not read the guest's initramfs to add its drivers",
    remedy:
      'Add the NVMe and ENA drivers to the initramfs in the guest, then use `via: import-snapshot`; or rebuild the initramfs.',
  },
  {
    pattern: /could not read fstab/i,
    explanation: "the guest's /etc/fstab could not be read",
    remedy: 'Name file systems by UUID in /etc/fstab, or use `via: import-snapshot`.',
  },
  {
    pattern:
      /Footers not identical|Uncompressed data has (an )?invalid length|Unable to uncompress|CRC error/i,
    explanation: 'the image file is damaged or was cut short',
    remedy: 'Discard the machine and start over, so that the disk is converted and uploaded again.',
  },
  {
    pattern: /Booter Networking failure|FirstBootFailure|Booter.*(fail|time)/i,
    explanation: 'the guest did not start, or not with a network, while AWS prepared it',
    remedy:
      'At the source: set the network to DHCP, remove stale network adapters and security agents, let pending updates finish; then start over.',
  },
  {
    pattern: /dual.?boot|multi.?boot/i,
    explanation: 'the disk holds more than one operating system',
    remedy: 'Use `via: import-snapshot`, which takes the disks as they are.',
  },
  {
    pattern: /activation|license/i,
    explanation: 'AWS could not set up the licence of the operating system',
    remedy: 'Set `licenseType: BYOL` or `AWS` under `to:` as your agreement says, then retry.',
  },
  {
    pattern: /KMS|encryption key|CMK/i,
    explanation: 'the key for the landed disks could not be used',
    remedy: 'Let the role and the identity of the workers use the key (`kmsKey`), then retry.',
  },
  {
    pattern: /AccessDenied|Access Denied|Forbidden/i,
    explanation: "AWS's importer may not read the object",
    remedy: 'Let the role (`role` of the target) read the bucket as docs/aws.md shows, then retry.',
  },
  {
    pattern: /NoSuchKey|does not exist|not found/i,
    explanation: 'the object was gone from the bucket before AWS had read it',
    remedy: 'Look for rules that delete objects under this prefix, then discard the machine and start over.',
  },
  {
    pattern: /quota|limit exceeded|too many|ResourceLimitExceeded/i,
    explanation: 'a limit of the account was reached',
    remedy: 'Lower `importTasks` of the target or raise the quota, then retry.',
    retryable: true,
  },
  {
    pattern: /cancell?ed/i,
    explanation: 'somebody cancelled the import task',
    remedy: 'Retry when it should go on.',
  },
  {
    pattern: /^(ServerError|InternalError)|internal error|timed? ?out|temporar/i,
    explanation: 'AWS failed on its own side',
    remedy: 'It is tried again.',
    retryable: true,
  },
];

/** For any message: unknown ones of the client's making are final, since the same import would end the same way. */
export function explainImportFailure(message: string): ImportFailure {
  const known = KNOWN_MESSAGES.find(({ pattern }) => pattern.test(message));
  if (known !== undefined) return { retryable: false, ...known };
  return {
    explanation: 'AWS gave up on the import without a reason that Landfall knows',
    remedy: 'Look the message up in the VM Import troubleshooting guide of AWS, then retry.',
    retryable: !/^ClientError/i.test(message),
  };
}
