import { PageHead } from '../components/page-head.tsx';

export default function WorkersPage() {
  return <PageHead title="Workers" />;
}
