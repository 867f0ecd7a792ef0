import { Button } from '../components/button.tsx';
import { Select } from '../components/select.tsx';
import { TextField } from '../components/text-field.tsx';
import { SignShape } from '../status/sign-shape.tsx';
import type { Filter, Order } from '../view/wave-rows.ts';
import styles from './machine-grid.module.css';

const ORDER_OPTIONS = [
  { value: 'trouble', text: 'Trouble first' },
  { value: 'wave', text: 'As in the wave' },
  { value: 'name', text: 'By name' },
  { value: 'progress', text: 'Least moved first' },
  { value: 'eta', text: 'Longest left first' },
] as const satisfies readonly { value: Order; text: string }[];

export function GridToolbar(props: { filter: Filter; onChange: (filter: Filter) => void; troubled: number }) {
  const { filter, onChange, troubled } = props;
  return (
    <search className={styles.toolbar}>
      <TextField
        label="Search machines"
        isLabelHidden
        type="search"
        placeholder="Name, group, stage, note …"
        value={filter.search}
        onChange={(search) => onChange({ ...filter, search })}
      />
      <Button
        aria-pressed={filter.isFailingOnly}
        onClick={() => onChange({ ...filter, isFailingOnly: !filter.isFailingOnly })}
      >
        {troubled > 0 && <SignShape shape="cross" tone="bad" />}
        Only in trouble ({troubled})
      </Button>
      <Select
        label="Sort"
        value={filter.order}
        options={ORDER_OPTIONS}
        onChange={(order) => onChange({ ...filter, order })}
      />
    </search>
  );
}
