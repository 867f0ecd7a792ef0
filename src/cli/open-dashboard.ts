/** Starts the dashboard for `up` and `dashboard`, and says where it is. */
import type { App } from '../app.ts';
import type { ListenAddress } from '../dashboard/listen-address.ts';
import type { Dashboard } from '../dashboard/server.ts';
import type { Log } from '../log.ts';
import { operatorName } from './operator-name.ts';
import { VERSION } from './version.ts';

export async function openDashboard(of: { app: App; listen: ListenAddress; log: Log }): Promise<Dashboard> {
  const { app, listen, log } = of;
  // Only who serves it loads its server.
  const { startDashboard } = await import('../dashboard/server.ts');
  const { openAccess } = await import('../dashboard/access/access.ts');
  const access = await openAccess({
    settings: app.config.access,
    state: app.state,
    log,
    listenHost: listen.host,
    localName: operatorName(),
    version: VERSION,
  });
  const dashboard = await startDashboard({ app, access, listen, log, version: VERSION });
  log('info', `The dashboard is at ${dashboard.url}`);
  return dashboard;
}
