import { Select } from '../components/select.tsx';
import { useTheme } from '../theme/use-theme.ts';

const OPTIONS = [
  { value: 'system', text: 'Theme: auto' },
  { value: 'light', text: 'Theme: light' },
  { value: 'dark', text: 'Theme: dark' },
] as const;

export function ThemeSwitch() {
  const [theme, setTheme] = useTheme();
  return <Select label="Theme" isLabelHidden value={theme} options={OPTIONS} onChange={setTheme} />;
}
