/** Writes workflows/wave.schema.json and docs/wave-reference.md from the definitions that the parser uses: `npm run schema`. */
import { writeFile } from 'node:fs/promises';
import { sources, targets } from '../adapters/registry.ts';
import { describeWaveFile } from '../src/workflow/wave-json-schema.ts';
import { describeReference } from '../src/workflow/wave-reference.ts';

const schema = describeWaveFile({ sources, targets });
const at = (path: string): URL => new URL(`../${path}`, import.meta.url);
await writeFile(at('workflows/wave.schema.json'), `${JSON.stringify(schema, null, 2)}\n`);
await writeFile(at('docs/wave-reference.md'), describeReference(schema));
