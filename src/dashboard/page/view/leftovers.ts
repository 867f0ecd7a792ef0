/** What a machine left at the target although it did not land, and what that costs. */
import type { MachineDetail } from '../../api/machine.ts';

export type LedgerEntry = MachineDetail['ledger'][number];

/** `3 things are left over: 12.40 US$ a month at list price, and 1 whose price is not known`; null: nothing is. */
export function sayLeftovers(ledger: readonly LedgerEntry[]): string | null {
  const left = ledger.filter(({ isLeftover }) => isLeftover);
  if (left.length === 0) return null;
  const known = left.flatMap(({ costPerMonth }) => costPerMonth ?? []);
  const unknown = left.length - known.length;
  const things = left.length === 1 ? '1 thing is left over' : `${left.length} things are left over`;
  if (known.length === 0) return `${things}; what they cost is not known here.`;
  const cost = formatCost(known.reduce((sum, each) => sum + each, 0));
  return `${things}: ${cost} a month at list price${unknown === 0 ? '.' : `, and ${unknown} whose price is not known.`}`;
}

export function formatCost(dollars: number): string {
  return dollars > 0 && dollars < 0.01 ? 'under US$ 0.01' : `US$ ${dollars.toFixed(2)}`;
}
