import { expect, test } from 'vitest';
import { z } from 'zod';
import { readXml } from '../../../src/sandbox/s3/xml-document.ts';

const schema = z.strictObject({ ETag: z.string() });
const read = (etag: string) =>
  readXml({ text: `<Part><ETag>${etag}</ETag></Part>`, root: 'Part', lists: [], schema });

test.each(['"abc"', '&quot;abc&quot;', '&#34;abc&#34;', '&#x22;abc&#x22;'])(
  'reads quotes however the client writes them: %s',
  (written) => {
    expect(read(written)).toEqual({ ETag: '"abc"' });
  },
);
