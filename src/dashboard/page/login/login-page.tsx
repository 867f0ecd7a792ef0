import { PageHead } from '../components/page-head.tsx';

export function LoginPage() {
  return <PageHead title="Log in" />;
}
