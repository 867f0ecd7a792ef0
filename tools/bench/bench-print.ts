/** What an operator sees of the benches. */
import { cpus, release } from 'node:os';
import pc from 'picocolors';
import { formatBytes } from '../../src/domain/byte-size.ts';
import type { BenchRow, Goal } from './bench-row.ts';

export function printHead({ runs, sizeBytes }: { runs: number; sizeBytes: number | null }): void {
  const [cpu, ...others] = cpus();
  console.log(
    `${others.length + 1} × ${cpu?.model.trim() ?? 'unknown'}, Linux ${release()}, Node ${process.version}`,
  );
  const size = sizeBytes === null ? '' : `, over ${formatBytes(sizeBytes)} of data: too little to judge by`;
  console.log(`Medians of ${runs}, Landfall and its peer in turns${size}`);
}

export function printRow(row: BenchRow): void {
  const { name, landfall, peer, ratio, unit, against, goal, isReached } = row;
  const versus = peer === null ? '' : `  ${against} ${round(peer)} ${unit}`;
  const times = ratio === null ? '' : `  ${pc.bold(`× ${round(ratio)}`)}`;
  const sign = isReached ? pc.green('✔') : pc.red('✖');
  console.log(
    `${sign} ${name.padEnd(24)} ${round(landfall)} ${unit}${versus}${times}  (${describeGoal(goal, unit)})`,
  );
}

function describeGoal({ of, atLeast, atMost }: Goal, unit: string): string {
  const what = of === 'ratio' ? '×' : unit;
  return atLeast === undefined ? `at most ${atMost} ${what}` : `at least ${atLeast} ${what}`;
}

/** Three digits that count. */
function round(value: number): string {
  return value >= 100 ? value.toFixed(0) : String(Number(value.toPrecision(3)));
}
