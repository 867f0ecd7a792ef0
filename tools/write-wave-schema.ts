/** Writes workflows/wave.schema.json from the definitions that the parser uses: `npm run schema`. */
import { writeFile } from 'node:fs/promises';
import { sources, targets } from '../adapters/registry.ts';
import { describeWaveFile } from '../src/workflow/wave-json-schema.ts';

const file = new URL('../workflows/wave.schema.json', import.meta.url);
await writeFile(file, `${JSON.stringify(describeWaveFile({ sources, targets }), null, 2)}\n`);
