/** Which address shows which page. */
import { Component, lazy, type ReactNode, Suspense } from 'react';
import { Link, Route, Switch } from 'wouter';
import { Button } from './components/button.tsx';
import { Loading } from './components/loading.tsx';
import { Notice, ProblemNotice } from './components/notice.tsx';
import { PageHead } from './components/page-head.tsx';
import { TooltipProvider } from './components/tooltip.tsx';
import { SessionProvider, useSession } from './data/session.tsx';
import { LoginPage } from './login/login-page.tsx';
import { RunsPage } from './runs/runs-page.tsx';
import { Shell } from './shell/shell.tsx';
import { nameAt } from './view/path-names.ts';

// What is not seen first is fetched when it is wanted.
const WavePage = lazy(() => import('./wave/wave-page.tsx'));
const MachinePage = lazy(() => import('./machine/machine-page.tsx'));
const FleetAuditPage = lazy(() => import('./audit/fleet-audit-page.tsx'));
const RunAuditPage = lazy(() => import('./audit/run-audit-page.tsx'));
const WorkersPage = lazy(() => import('./workers/workers-page.tsx'));

export function App() {
  return (
    <SessionProvider>
      <TooltipProvider delayDuration={300}>
        <Shell>
          <PageBoundary>
            <Suspense fallback={<Loading what="Fetching the page …" />}>
              <Pages />
            </Suspense>
          </PageBoundary>
        </Shell>
      </TooltipProvider>
    </SessionProvider>
  );
}

function Pages() {
  const { session, problem } = useSession();
  if (session === null) {
    return problem === null ? (
      <Loading what="Asking who you are …" />
    ) : (
      <ProblemNotice what="The dashboard cannot be shown." problem={problem} />
    );
  }
  if (session.user === null) return <LoginPage />;
  return (
    <Switch>
      <Route path="/" component={RunsPage} />
      <Route path="/login" component={LoginPage} />
      <Route path="/workers" component={WorkersPage} />
      <Route path="/audit" component={FleetAuditPage} />
      {/* A page of its own for each run and machine: nothing of one is kept for the next. */}
      <Route path="/runs/:run">
        {() => {
          const run = nameAt(location.pathname, 2);
          return <WavePage key={run} run={run} />;
        }}
      </Route>
      <Route path="/runs/:run/audit">
        {() => {
          const run = nameAt(location.pathname, 2);
          return <RunAuditPage key={run} run={run} />;
        }}
      </Route>
      <Route path="/runs/:run/machines/:machine">
        {() => {
          const run = nameAt(location.pathname, 2);
          const machine = nameAt(location.pathname, 4);
          return <MachinePage key={`${run}/${machine}`} run={run} machine={machine} />;
        }}
      </Route>
      <Route>
        <PageHead title="There is no such page" />
        <p>
          <Link href="/">See all runs</Link>
        </p>
      </Route>
    </Switch>
  );
}

/** A defect in one page must not leave an empty wall screen. */
class PageBoundary extends Component<{ children: ReactNode }, { error: Error | null }> {
  override state: { error: Error | null } = { error: null };

  static getDerivedStateFromError(error: unknown): { error: Error } {
    return { error: error instanceof Error ? error : new Error(String(error)) };
  }

  override render(): ReactNode {
    const { error } = this.state;
    if (error === null) return this.props.children;
    return (
      <Notice tone="bad" role="alert" title="This page broke. Runs are not touched by that.">
        <p>{error.message}</p>
        <Button onClick={() => location.reload()}>Load it again</Button>
      </Notice>
    );
  }
}
