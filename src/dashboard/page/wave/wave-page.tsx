import { PageHead } from '../components/page-head.tsx';

export default function WavePage({ run }: { run: string }) {
  return <PageHead title={run} />;
}
