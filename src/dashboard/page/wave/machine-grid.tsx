/** Machines × stages. Of a thousand machines only the rows that are seen are in the document; the page scrolls, not the table. */
import { useWindowVirtualizer } from '@tanstack/react-virtual';
import { useCallback, useDeferredValue, useLayoutEffect, useMemo, useRef, useState } from 'react';
import type { MachineLine, RunSummary } from '../../api/run.ts';
import { Panel } from '../components/panel.tsx';
import { useMedia } from '../data/use-media.ts';
import { STAGE_NAMES, type Stage } from '../status/words.ts';
import { count } from '../view/sizes.ts';
import { countAtWork, listRows, stagesOf } from '../view/wave-rows.ts';
import { GridToolbar } from './grid-toolbar.tsx';
import styles from './machine-grid.module.css';
import { type GridShape, MachineRow } from './machine-row.tsx';
import { SelectionBar } from './selection-bar.tsx';
import { useFilter } from './use-filter.ts';

const OVERSCAN = 8;
/** In rem: rows grow with the letters on a wall screen. */
const ROW_HEIGHTS: Readonly<Record<GridShape, number>> = { wide: 2.75, medium: 3.5, narrow: 5.25 };
/** Beside those of the stages. */
const COLUMNS: Readonly<Record<GridShape, number>> = { wide: 7, medium: 6, narrow: 2 };

export function MachineGrid({ run, machines }: { run: RunSummary; machines: readonly MachineLine[] }) {
  const [filter, setFilter] = useFilter();
  // Typing goes first: the list follows as soon as there is time.
  const search = useDeferredValue(filter.search);
  const { isFailingOnly, order } = filter;
  const rows = useMemo(
    () => listRows(machines, { search, isFailingOnly, order }),
    [machines, search, isFailingOnly, order],
  );
  const stages = useMemo(() => stagesOf(machines), [machines]);
  const [selected, setSelected] = useState<ReadonlySet<string>>(new Set());
  const select = useCallback((names: readonly string[], isSelected: boolean) => {
    setSelected((old) => {
      const next = new Set(old);
      for (const name of names) isSelected ? next.add(name) : next.delete(name);
      return next;
    });
  }, []);
  const shown =
    rows.length === machines.length
      ? count(rows.length, 'machine')
      : `${rows.length} of ${count(machines.length, 'machine')}`;
  return (
    <Panel title="Machines" anchor="machines" aside={<span role="status">{shown}</span>} isFlush>
      <GridToolbar
        filter={filter}
        onChange={setFilter}
        troubled={machines.filter(({ isTroubled }) => isTroubled).length}
      />
      <GridTable
        run={run}
        rows={rows}
        stages={stages}
        machines={machines}
        selected={selected}
        onSelect={select}
      />
      <SelectionBar
        run={run}
        machines={machines}
        rows={rows}
        selected={selected}
        onClear={() => setSelected(new Set())}
      />
    </Panel>
  );
}

function GridTable(props: {
  run: RunSummary;
  rows: readonly MachineLine[];
  machines: readonly MachineLine[];
  stages: readonly Stage[];
  selected: ReadonlySet<string>;
  onSelect: (names: readonly string[], isSelected: boolean) => void;
}) {
  const { run, rows, machines, stages, selected, onSelect } = props;
  const shape = useGridShape();
  const body = useRef<HTMLTableSectionElement>(null);
  const margin = useTopOf(body);
  const rowHeight = ROW_HEIGHTS[shape] * remPx();
  const virtual = useWindowVirtualizer({
    count: rows.length,
    estimateSize: () => rowHeight,
    overscan: OVERSCAN,
    scrollMargin: margin,
    getItemKey: (index) => rows[index]?.name ?? index,
  });
  useLayoutEffect(() => {
    if (rowHeight > 0) virtual.measure();
  }, [virtual, rowHeight]);
  const columns = COLUMNS[shape] + (shape === 'wide' ? stages.length : 1);
  const items = virtual.getVirtualItems();
  const before = (items[0]?.start ?? margin) - margin;
  const after = virtual.getTotalSize() - ((items.at(-1)?.end ?? margin) - margin);
  const isEach = rows.length > 0 && rows.every(({ name }) => selected.has(name));
  return (
    <table className={styles.table} data-shape={shape} aria-rowcount={rows.length + 1}>
      <caption className={styles.hidden}>
        Machines of {run.id} with the state of each stage. Only the rows in view are in the page.
      </caption>
      <GridHead
        shape={shape}
        stages={stages}
        atWork={countAtWork(machines)}
        isEach={isEach}
        onEach={(isSelected) =>
          onSelect(
            rows.map(({ name }) => name),
            isSelected,
          )
        }
      />
      <tbody ref={body}>
        <Spacer height={before} columns={columns} />
        {items.map(({ index, key }) => {
          const line = rows[index];
          return (
            line !== undefined && (
              <MachineRow
                key={key}
                run={run.id}
                line={line}
                stages={stages}
                shape={shape}
                height={rowHeight}
                rowIndex={index + 2}
                isSelected={selected.has(line.name)}
                onSelect={onSelect}
              />
            )
          );
        })}
        <Spacer height={after} columns={columns} />
        {rows.length === 0 && (
          <tr>
            <td colSpan={columns} className={styles.none}>
              No machine is like that.
            </td>
          </tr>
        )}
      </tbody>
    </table>
  );
}

function GridHead(props: {
  shape: GridShape;
  stages: readonly Stage[];
  atWork: ReadonlyMap<Stage, number>;
  isEach: boolean;
  onEach: (isSelected: boolean) => void;
}) {
  const { shape, stages, atWork, isEach, onEach } = props;
  return (
    <thead className={styles.head}>
      <tr aria-rowindex={1}>
        <th scope="col" className={styles.pick}>
          <label className={styles.check}>
            <input
              type="checkbox"
              checked={isEach}
              onChange={({ target }) => onEach(target.checked)}
              aria-label="Select all that are listed"
            />
          </label>
        </th>
        <th scope="col" className={styles.name}>
          Machine
        </th>
        {shape !== 'narrow' && (
          <th scope="col" className={styles.status}>
            Status
          </th>
        )}
        {shape === 'wide' ? (
          stages.map((stage) => (
            <th key={stage} scope="col" className={styles.stage}>
              {STAGE_NAMES[stage]}
              <small>{atWork.has(stage) ? `${atWork.get(stage)} at work` : '\u00a0'}</small>
            </th>
          ))
        ) : (
          <th scope="col" className={styles.strip}>
            Stages
          </th>
        )}
        {shape !== 'narrow' && (
          <>
            <th scope="col" className={styles.moved}>
              Moved
            </th>
            <th scope="col" className={styles.rate}>
              Rate
            </th>
            <th scope="col" className={styles.eta}>
              Left
            </th>
          </>
        )}
        {shape === 'wide' && (
          <th scope="col" className={styles.note}>
            Note
          </th>
        )}
      </tr>
    </thead>
  );
}

/** Stands for rows that are not in the document. */
function Spacer({ height, columns }: { height: number; columns: number }) {
  return height <= 0 ? null : (
    // biome-ignore lint/a11y/noAriaHiddenOnFocusable: no row of a table takes the focus.
    <tr aria-hidden="true" className={styles.spacer}>
      <td colSpan={columns} style={{ height }} />
    </tr>
  );
}

function useGridShape(): GridShape {
  const isWide = useMedia('(min-width: 100rem)');
  const isNarrow = useMedia('(max-width: 46rem)');
  return isWide ? 'wide' : isNarrow ? 'narrow' : 'medium';
}

function remPx(): number {
  return Number.parseFloat(getComputedStyle(document.documentElement).fontSize);
}

/** How far down the page an element begins: what stands above it grows and shrinks. */
function useTopOf(element: React.RefObject<HTMLElement | null>): number {
  const [top, setTop] = useState(0);
  useLayoutEffect(() => {
    const measure = (): void => {
      const { current } = element;
      if (current !== null) setTop(Math.round(current.getBoundingClientRect().top + window.scrollY));
    };
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(document.body);
    return () => observer.disconnect();
  }, [element]);
  return top;
}
