/** Faults that a test puts in the way of requests. They are reachable from the process only, never over HTTP. */
import type { IncomingMessage } from 'node:http';
import { TLSSocket } from 'node:tls';

export type FaultedService = AwsService | AzureService;
export type AwsService = 's3' | 'ebs' | 'ec2' | 'sts' | 'iam';
export type AzureService = 'arm' | 'blob' | 'identity';

export type Fault = {
  service: FaultedService;
  /** For example `UploadPart` or `Disks_GrantAccess`; every action of the service where it is left out. */
  action?: string;
  /** Only this part of a multipart upload. */
  partNumber?: number;
  /** Only pages written or cleared from here. */
  offsetBytes?: number;
  /** How many requests it meets before it is gone; default 1, or no end where it has a rate. */
  times?: number;
  /** Meets this share of the requests, evenly: 0.05 is every twentieth. */
  rate?: number;
  /** Lets so many requests pass first. */
  skip?: number;
  /** Waits before anything else is done. */
  delayMs?: number;
  /** Resets the connection once this many bytes of the request's body arrived (0: at once); nothing is stored. */
  dropAfterBytes?: number;
  /** Does the work, then resets the connection instead of answering: the client cannot know. */
  dropAnswer?: boolean;
  /** Answers with this error, for example {status: 503, code: 'SlowDown'}; EBS direct's have a reason, too. */
  error?: InjectedError;
};

export type InjectedError = {
  status: number;
  code: string;
  message?: string;
  reason?: string;
  /** Azure's `Retry-After`. */
  retryAfterSeconds?: number;
  /** Azure accepts the request, and its long-running operation ends with this error. */
  isLate?: boolean;
};

export type FaultedRequest = {
  service: FaultedService;
  action: string;
  partNumber: number | null;
  offsetBytes?: number | null;
};

export type Faults = {
  add(fault: Fault): void;
  clear(): void;
  /** Takes the first fault that this request meets, and counts it down. */
  take(request: FaultedRequest): Fault | null;
};

export function createFaults(): Faults {
  let waiting: { fault: Fault; skip: number; times: number; due: number }[] = [];
  return {
    add(fault) {
      const times = fault.times ?? (fault.rate === undefined ? 1 : Number.POSITIVE_INFINITY);
      waiting.push({ fault, skip: fault.skip ?? 0, times, due: 0 });
    },
    clear: () => {
      waiting = [];
    },
    take(request) {
      for (const entry of waiting) {
        if (!meets(entry.fault, request)) continue;
        if (entry.skip > 0) {
          entry.skip -= 1;
          continue;
        }
        entry.due += entry.fault.rate ?? 1;
        if (entry.due < 1) continue;
        entry.due -= 1;
        entry.times -= 1;
        if (entry.times === 0) waiting = waiting.filter((other) => other !== entry);
        return entry.fault;
      }
      return null;
    },
  };
}

function meets(fault: Fault, { service, action, partNumber, offsetBytes }: FaultedRequest): boolean {
  if (fault.service !== service) return false;
  if (fault.action !== undefined && fault.action !== action) return false;
  if (fault.offsetBytes !== undefined && fault.offsetBytes !== offsetBytes) return false;
  return fault.partNumber === undefined || fault.partNumber === partNumber;
}

/** A reset, not an orderly end: the client sees ECONNRESET as when a peer dies. TLS sockets can only be torn down. */
export function dropConnection({ socket }: IncomingMessage): void {
  if (socket instanceof TLSSocket) socket.destroy();
  else socket.resetAndDestroy();
}
