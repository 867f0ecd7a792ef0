/** Where one is led after a login, and what a login that did not work is called. */
import { isUnreachable, RequestProblem } from '../data/problem.ts';

/** A path of this page; anything that could lead elsewhere ends at the first page. */
export function localTarget(to: string | null): string {
  if (to === null || !/^\/(?![/\\])/.test(to) || /[\t\r\n]/.test(to)) return '/';
  return /^\/(login|api)(?:[/?#]|$)/.test(to) ? '/' : to;
}

export function titleOfLoginProblem(problem: Error): string {
  if (isUnreachable(problem)) return 'The server does not answer.';
  if (!(problem instanceof RequestProblem)) return 'You are not logged in.';
  if (problem.status === 429) return 'Too many tries.';
  if (problem.code === 'empty') return 'There is no token.';
  return problem.status === 401 ? 'This token does not open the door.' : 'You are not logged in.';
}
