/** A request refused in the vendor's words. Each service writes it in its own XML. */

export type RefusalOptions = {
  /** HTTP status. */
  status: number;
  /** The vendor's code, for example `NoSuchBucket`. */
  code: string;
  message: string;
  /** S3 names the thing it means in elements of their own, for example {BucketName: 'acme'}. */
  fields?: Readonly<Record<string, string>>;
};

export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly status: number;
  readonly code: string;
  readonly fields: Readonly<Record<string, string>>;

  constructor({ status, code, message, fields = {} }: RefusalOptions) {
    super(message);
    this.status = status;
    this.code = code;
    this.fields = fields;
  }
}
