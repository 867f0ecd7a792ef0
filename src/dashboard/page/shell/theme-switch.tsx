import { Select } from '../components/select.tsx';
import { useTheme } from '../theme/use-theme.ts';

const OPTIONS = [
  { value: 'system', text: 'As the system' },
  { value: 'light', text: 'Light' },
  { value: 'dark', text: 'Dark' },
] as const;

export function ThemeSwitch() {
  const [theme, setTheme] = useTheme();
  return <Select label="Theme" isLabelHidden value={theme} options={OPTIONS} onChange={setTheme} />;
}
