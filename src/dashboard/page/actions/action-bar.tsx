import type { Selection } from '../../api/action.ts';
import type { MachineLine, RunSummary } from '../../api/run.ts';

/** The buttons of what can be done to a selection of a run's machines; each opens the dialog. */
export function ActionBar(_props: { run: RunSummary; on: Selection; machines: readonly MachineLine[] }) {
  return null;
}
