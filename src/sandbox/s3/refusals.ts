/** S3's refusals that more than one action gives. https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html */
import { Refusal } from '../refusal.ts';

export function invalidRequest(message: string): Refusal {
  return new Refusal({ status: 400, code: 'InvalidRequest', message });
}

export function invalidArgument(message: string, argument: { name: string; value: string }): Refusal {
  const fields = { ArgumentName: argument.name, ArgumentValue: argument.value };
  return new Refusal({ status: 400, code: 'InvalidArgument', message, fields });
}

export function malformedXml(): Refusal {
  const message = 'The XML you provided was not well-formed or did not validate against our published schema';
  return new Refusal({ status: 400, code: 'MalformedXML', message });
}

export function notImplemented(fields: Readonly<Record<string, string>>): Refusal {
  const [what] = Object.values(fields);
  const message = `A header or query you provided implies functionality that is not implemented: ${what ?? ''}`;
  return new Refusal({ status: 501, code: 'NotImplemented', message, fields });
}

export function badDigest(message: string): Refusal {
  return new Refusal({ status: 400, code: 'BadDigest', message });
}

export function noSuchBucket(bucket: string): Refusal {
  const message = 'The specified bucket does not exist';
  return new Refusal({ status: 404, code: 'NoSuchBucket', message, fields: { BucketName: bucket } });
}

export function noSuchKey(key: string): Refusal {
  const message = 'The specified key does not exist.';
  return new Refusal({ status: 404, code: 'NoSuchKey', message, fields: { Key: key } });
}

export function noSuchUpload(uploadId: string): Refusal {
  const message =
    'The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.';
  return new Refusal({ status: 404, code: 'NoSuchUpload', message, fields: { UploadId: uploadId } });
}

export function preconditionFailed(condition: string): Refusal {
  const message = 'At least one of the pre-conditions you specified did not hold';
  const fields = { Condition: condition };
  return new Refusal({ status: 412, code: 'PreconditionFailed', message, fields });
}

export function entityTooLarge(bytes: number, maxBytes: number): Refusal {
  const message = 'Your proposed upload exceeds the maximum allowed size';
  const fields = { ProposedSize: String(bytes), MaxSizeAllowed: String(maxBytes) };
  return new Refusal({ status: 400, code: 'EntityTooLarge', message, fields });
}
