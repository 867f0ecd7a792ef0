/** What a daemon's log tells of the runs that it serves: failures and ends, each once, where they were committed. */
import type { RunEvent } from '../domain/events.ts';
import type { Log } from '../log.ts';

export function logEvent(log: Log, event: RunEvent): void {
  switch (event.type) {
    case 'step': {
      const { run, machine, step, error } = event;
      if (error === null) return;
      const fields = { run, machine, step, code: error.code, try: event.try };
      if (event.state === 'failed')
        log('error', `${step} of ${machine} in ${run} failed: ${error.message}`, fields);
      if (event.state === 'retrying')
        log(
          'warn',
          `${step} of ${machine} in ${run} is tried again (try ${event.try}): ${error.message}`,
          fields,
        );
      return;
    }
    case 'machine': {
      const { run, machine, status } = event;
      log(status === 'failed' ? 'error' : 'info', `${machine} in ${run}: ${status}`, {
        run,
        machine,
        status,
      });
      return;
    }
    case 'remark': {
      const { run, level, message } = event;
      log(level, `${message} (run ${run})`, { run });
      return;
    }
    case 'run':
    case 'log':
    case 'operator':
      return;
  }
}
