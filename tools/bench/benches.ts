/** The list of all benches, in the order in which they run. */
import type { BenchGround } from './bench-ground.ts';
import type { BenchRow } from './bench-row.ts';
import { azureDense } from './benches/azure-dense.ts';
import { azureSparse } from './benches/azure-sparse.ts';
import { control } from './benches/control.ts';
import { ebsDense } from './benches/ebs-dense.ts';
import { ebsSparse } from './benches/ebs-sparse.ts';
import { memory } from './benches/memory.ts';
import { read } from './benches/read.ts';
import { resume } from './benches/resume.ts';
import { vmdk } from './benches/vmdk.ts';

export type Bench = {
  name: string;
  summary: string;
  run(ground: BenchGround): Promise<BenchRow[]>;
};

export const BENCHES: readonly Bench[] = [
  read,
  vmdk,
  ebsDense,
  ebsSparse,
  memory,
  resume,
  azureDense,
  azureSparse,
  control,
];
