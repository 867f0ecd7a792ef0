/**
 * Lets threads that only compute run where no other thread of their process wants the core. Niceness is not enough: the
 * kernel shares each core among sessions (or containers) first, and niceness counts within one. A worker's event loop
 * that lay in wait on one core for other processes stayed there for up to 70 ms, while the worker's own threads had the
 * other one; a core on which only SCHED_IDLE runs is taken for an idle one, and the loop goes there. Among processes
 * the worker's share stays what it was. https://man7.org/linux/man-pages/man7/sched.7.html
 */
import { createRequire } from 'node:module';
import { getPriority, setPriority } from 'node:os';

/** Where the policy cannot be set: with as many such threads as cores the event loop waited 75 ms without it. */
const NICE = 10;
const SCHED_IDLE = 5;
/** 0: the thread that asks. */
const THIS_THREAD = 0;

/** Of the thread that calls it, for as long as it lives. */
export function giveWay(): void {
  // On Linux, of this thread alone.
  setPriority(Math.max(NICE, getPriority()));
  try {
    // Not imported: it is a package of native code, which npm leaves out for machines that it was not built for.
    const koffi = createRequire(import.meta.url)('koffi') as typeof import('koffi');
    const setScheduler = koffi
      .load('libc.so.6')
      .func('int sched_setscheduler(int thread, int policy, const int *priority)');
    // A container may forbid it, and answers with -1.
    setScheduler(THIS_THREAD, SCHED_IDLE, [0]);
  } catch {
    // Without koffi or glibc there is niceness.
  }
}
