import { PageHead } from '../components/page-head.tsx';

export default function MachinePage({ machine }: { run: string; machine: string }) {
  return <PageHead title={machine} />;
}
