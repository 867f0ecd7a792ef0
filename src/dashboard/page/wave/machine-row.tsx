import { memo } from 'react';
import { Link } from 'wouter';
import type { MachineLine, StageCell } from '../../api/run.ts';
import { Bar } from '../components/bar.tsx';
import { SignLabel } from '../status/sign-label.tsx';
import { SignShape } from '../status/sign-shape.tsx';
import { MACHINE_SIGNS, STAGE_NAMES, STAGE_SIGNS, type Stage } from '../status/words.ts';
import { formatBytes, formatDuration, formatRate, percentOf } from '../view/sizes.ts';
import styles from './machine-grid.module.css';

/** Which columns there is room for. */
export type GridShape = 'wide' | 'medium' | 'narrow';

/** Drawn again only when its machine changed: of a thousand, a few do each second. */
export const MachineRow = memo(function MachineRow(props: {
  run: string;
  line: MachineLine;
  stages: readonly Stage[];
  shape: GridShape;
  height: number;
  rowIndex: number;
  isSelected: boolean;
  onSelect: (names: readonly string[], isSelected: boolean) => void;
}) {
  const { run, line, stages, shape, height, rowIndex, isSelected, onSelect } = props;
  const { name, group, status, note, isTroubled } = line;
  const sign = MACHINE_SIGNS[status];
  const cells = new Map(line.stages.map((cell) => [cell.stage, cell]));
  return (
    <tr style={{ height }} aria-rowindex={rowIndex} data-troubled={isTroubled} data-selected={isSelected}>
      <td className={styles.pick}>
        <label className={styles.check}>
          <input
            type="checkbox"
            checked={isSelected}
            onChange={({ target }) => onSelect([name], target.checked)}
            aria-label={`Select ${name}`}
          />
        </label>
      </td>
      <th scope="row" className={styles.name}>
        <Link
          href={`/runs/${encodeURIComponent(run)}/machines/${encodeURIComponent(name)}`}
          className={styles.link}
          title={name}
        >
          {name}
        </Link>
        {shape === 'narrow' ? (
          <span className={styles.under}>
            <SignLabel sign={sign} /> {percentOf(line.doneBytes, line.totalBytes)} %{etaText(line)}
          </span>
        ) : (
          shape === 'wide' && <span className={styles.under}>{group}</span>
        )}
        {shape !== 'wide' && (
          <span className={styles.under} title={note}>
            {note === '' ? group : note}
          </span>
        )}
      </th>
      {shape !== 'narrow' && (
        <td className={styles.status}>
          <SignLabel sign={sign} />
        </td>
      )}
      {shape === 'wide' ? (
        stages.map((stage) => (
          <td key={stage} className={styles.stage}>
            <StageState stage={stage} cell={cells.get(stage)} line={line} />
          </td>
        ))
      ) : (
        <td className={styles.strip}>
          <span className={styles.stripCells}>
            {stages.map((stage) => (
              <StageState key={stage} stage={stage} cell={cells.get(stage)} line={null} />
            ))}
          </span>
        </td>
      )}
      {shape !== 'narrow' && <FigureCells line={line} />}
      {shape === 'wide' && (
        <td className={styles.note} title={note}>
          <span>{note}</span>
        </td>
      )}
    </tr>
  );
});

function FigureCells({ line }: { line: MachineLine }) {
  const { doneBytes, totalBytes, bytesPerSecond, etaMs, isTroubled, status } = line;
  const percent = percentOf(doneBytes, totalBytes);
  const tone = isTroubled ? 'bad' : status === 'landed' ? 'good' : 'go';
  return (
    <>
      <td className={styles.moved}>
        <span className={styles.progress}>
          <Bar
            label={`${percent} percent moved`}
            parts={[{ share: totalBytes === 0 ? 0 : doneBytes / totalBytes, tone }]}
          />
          <span>{percent} %</span>
        </span>
        <span className={styles.under}>
          {formatBytes(doneBytes)} of {formatBytes(totalBytes)}
        </span>
      </td>
      <td className={styles.rate}>{bytesPerSecond > 0 ? formatRate(bytesPerSecond) : <Nothing />}</td>
      <td className={styles.eta}>{etaMs !== null ? formatDuration(etaMs) : <Nothing />}</td>
    </>
  );
}

/** A shape, in words for who does not see it; the try where it is not the first. */
function StageState(props: { stage: Stage; cell: StageCell | undefined; line: MachineLine | null }) {
  const { stage, cell, line } = props;
  if (cell === undefined) return <Nothing />;
  const { shape, tone, word } = STAGE_SIGNS[cell.state];
  const isUploading = line !== null && stage === 'upload' && cell.state === 'active';
  const tries = cell.try > 1 && cell.state !== 'pending' ? `try ${cell.try}` : '';
  const text = [`${STAGE_NAMES[stage]}: ${word}`, tries].filter((part) => part !== '').join(', ');
  return (
    <span className={styles.cell} data-state={cell.state} title={text}>
      <SignShape shape={shape} tone={tone} />
      <span className={styles.hidden}>{text}</span>
      {line !== null && tries !== '' && (
        <span aria-hidden="true" className={styles.try}>
          ×{cell.try}
        </span>
      )}
      {isUploading && <span className={styles.share}>{percentOf(line.doneBytes, line.totalBytes)} %</span>}
    </span>
  );
}

function Nothing() {
  return <span className={styles.nothing}>–</span>;
}

function etaText({ etaMs }: MachineLine): string {
  return etaMs === null ? '' : ` · ${formatDuration(etaMs)} left`;
}
