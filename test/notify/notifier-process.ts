/** A notifier in a process of its own, to be killed: `node notifier-process.ts REDIS_URL`. */
import { startNotifier } from '../../src/notify/notifier.ts';
import { openState } from '../../src/state/state.ts';

const [url = ''] = process.argv.slice(2);
const state = openState(url);
startNotifier({
  state,
  onError: (error) => console.error(error.message),
  bundleMs: 0,
  lookEveryMs: 50,
});
// It lives until it is killed.
setInterval(() => {}, 1_000);
