/** Why a request brought nothing: what the server said, or that it did not answer. */
import type { Problem } from '../../api/session.ts';

export class RequestProblem extends Error {
  readonly code: string;
  /** 0: there was no answer at all. */
  readonly status: number;

  constructor({ code, message, status }: { code: string; message: string; status: number }) {
    super(message);
    this.name = 'RequestProblem';
    this.code = code;
    this.status = status;
  }
}

export function isUnreachable(error: unknown): boolean {
  return error instanceof RequestProblem && (error.status === 0 || error.status >= 502);
}

/** What an answer that is no success says; servers in between may answer with anything. */
export async function readProblem(response: Response): Promise<RequestProblem> {
  const { status } = response;
  try {
    const { error } = (await response.json()) as Problem;
    if (typeof error.message === 'string') return new RequestProblem({ ...error, status });
  } catch {
    // Not ours: told by its status below.
  }
  const message = `The dashboard's server answered with status ${status}. Try again; if it stays so, look at its log.`;
  return new RequestProblem({ code: 'bad-answer', message, status });
}
