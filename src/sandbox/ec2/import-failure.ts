/** Why an import task failed: the StatusMessage that its owner reads. */

export class ImportFailure extends Error {
  override readonly name = 'ImportFailure';
}

/** The file is not what it should be: AWS's own words, with the reason in brackets. */
export function invalidDisk(reason: string): ImportFailure {
  return new ImportFailure(`ClientError: Disk validation failed [${reason}]`);
}

export function unsupportedFormat(format: string): ImportFailure {
  return invalidDisk(`Unsupported ${format} File Format`);
}
