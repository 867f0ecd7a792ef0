/** Each disk: its map, what it became at the target, its digests. */
import type { MachineDetail } from '../../api/machine.ts';
import { CopyLine } from '../components/copy-line.tsx';
import { Panel } from '../components/panel.tsx';
import { api } from '../data/api.ts';
import { useResource } from '../data/use-resource.ts';
import { SignShape } from '../status/sign-shape.tsx';
import { percent, sayShares, sharesOf } from '../view/disk-cells.ts';
import { count, formatBytes } from '../view/sizes.ts';
import { DiskMapDrawing } from './disk-map-drawing.tsx';
import styles from './disks-panel.module.css';

type Disk = MachineDetail['disks'][number];
const MAP_EVERY_MS = 3000;

export function DisksPanel({ detail, isMoving }: { detail: MachineDetail; isMoving: boolean }) {
  const { disks, run, line } = detail;
  return (
    <Panel title={count(disks.length, 'disk')} aside={<Legend />}>
      <ul className={styles.disks}>
        {disks.map((disk) => (
          <li key={disk.id} className={styles.disk}>
            <DiskShown disk={disk} run={run.id} machine={line.name} isMoving={isMoving} />
          </li>
        ))}
      </ul>
    </Panel>
  );
}

function DiskShown(props: { disk: Disk; run: string; machine: string; isMoving: boolean }) {
  const { disk, run, machine, isMoving } = props;
  const isGrowing = isMoving && disk.artifact === null;
  // Once more when the copy has come to its end.
  const { value: map } = useResource(
    `map ${run}/${machine}/${disk.id} ${isGrowing}`,
    (signal) => api.diskMap({ run, machine, disk: disk.id }, signal),
    { everyMs: isGrowing ? MAP_EVERY_MS : undefined },
  );
  const shares = map === null ? null : sharesOf(map);
  return (
    <>
      <h3 className={styles.name}>
        {disk.id}
        <span>
          {formatBytes(disk.bytes)}
          {disk.dataBytes !== null && `, ${formatBytes(disk.dataBytes)} of it data`}
        </span>
      </h3>
      {map !== null && map.cells !== null && shares !== null ? (
        <figure className={styles.map}>
          <DiskMapDrawing cells={map.cells} label={`Map of ${disk.id}: ${sayShares(shares)}`} />
          <figcaption>
            <strong>{percent(shares.copied)}</strong> copied, <strong>{percent(shares.zero)}</strong> zeros,{' '}
            <strong>{percent(shares.toDo)}</strong> to do; a cell is {formatBytes(map.cellBytes)}
          </figcaption>
        </figure>
      ) : (
        <p className={styles.none}>
          {map === null ? 'Fetching its map …' : 'Where its data lies is not known (any more).'}{' '}
          {formatBytes(disk.doneBytes)} copied.
        </p>
      )}
      <Kept disk={disk} />
    </>
  );
}

function Kept({ disk: { artifact, digests, id } }: { disk: Disk }) {
  if (artifact === null && digests.length === 0) return null;
  return (
    <dl className={styles.kept}>
      {artifact !== null && (
        <>
          <dt>
            {artifact.kind}, {formatBytes(artifact.bytes)}
          </dt>
          <dd>
            <CopyLine text={artifact.ref} what={`what ${id} became`} />
          </dd>
        </>
      )}
      {digests.map(({ algorithm, value, isConfirmed }) => (
        <div key={algorithm + value} className={styles.digest}>
          <dt>
            {algorithm},{' '}
            <SignShape shape={isConfirmed ? 'check' : 'circle'} tone={isConfirmed ? 'good' : 'idle'} />{' '}
            {isConfirmed ? 'confirmed by the target' : 'as sent'}
          </dt>
          <dd>
            <CopyLine text={value} what={`${algorithm} of ${id}`} />
          </dd>
        </div>
      ))}
    </dl>
  );
}

function Legend() {
  return (
    <ul className={styles.legend}>
      <li>
        <span className={styles.swatch} data-part="copied" aria-hidden="true" /> copied
      </li>
      <li>
        <span className={styles.swatch} data-part="zero" aria-hidden="true" /> zeros, not sent
      </li>
      <li>
        <span className={styles.swatch} data-part="todo" aria-hidden="true" /> to do
      </li>
    </ul>
  );
}
