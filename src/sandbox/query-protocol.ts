/**
 * The query protocols: a form posted to `/`, an XML answer. EC2 speaks a dialect of its own; STS and IAM share one.
 * A service is a table of actions, each a declaration of its parameters and a function.
 * https://smithy.io/2.0/aws/protocols/aws-ec2-query-protocol.html and …/aws-query-protocol.html
 */
import type { z } from 'zod';
import { booleanParameter, type FormTree, parseForm, readForm, structParameter } from './query-form.ts';
import { Refusal } from './refusal.ts';
import { writeXml, type XmlObject } from './xml.ts';

export type QueryService = 'ec2' | 'sts' | 'iam';

export type QueryContext = {
  requestId: string;
  accessKeyId: string;
  accountId: string;
  region: string;
  /** Fires when the client went away or the sandbox stops. */
  signal: AbortSignal;
};

export type QueryResponse = { status: number; xml: string };

/** The result's members; for EC2 beside `requestId`, for STS and IAM within `<ActionResult>`. */
export type QueryAction = (form: FormTree, context: QueryContext) => Promise<XmlObject>;
export type QueryActions = Readonly<Record<string, QueryAction>>;

const NAMESPACES: Readonly<Record<QueryService, string>> = {
  ec2: 'http://ec2.amazonaws.com/doc/2016-11-15/',
  sts: 'https://sts.amazonaws.com/doc/2011-06-15/',
  iam: 'https://iam.amazonaws.com/doc/2010-05-08/',
};
const VERSIONS: Readonly<Record<QueryService, string>> = {
  ec2: '2016-11-15',
  sts: '2011-06-15',
  iam: '2010-05-08',
};

/** Declares an action: the shape of its parameters (strict) and what it does. */
export function defineAction<T extends z.ZodRawShape>(
  parameters: T,
  run: (
    input: z.output<z.ZodObject<T, z.core.$strict>>,
    context: QueryContext,
  ) => XmlObject | Promise<XmlObject>,
): QueryAction {
  const shape = structParameter(parameters);
  return async (form, context) => run(readForm(form, shape), context);
}

/** As defineAction, with EC2's `DryRun`: all checks of form are made, then the dry run is answered. */
export function defineEc2Action<T extends z.ZodRawShape>(
  parameters: T,
  run: (
    input: z.output<z.ZodObject<T, z.core.$strict>>,
    context: QueryContext,
  ) => XmlObject | Promise<XmlObject>,
): QueryAction {
  const shape = structParameter(parameters);
  const dryRun = structParameter({ DryRun: booleanParameter.optional() });
  return async (form, context) => {
    const { DryRun, ...rest } = form as { readonly [name: string]: FormTree };
    const input = readForm(rest, shape);
    if (readForm(DryRun === undefined ? {} : { DryRun }, dryRun).DryRun === true) throw dryRunPassed();
    return run(input, context);
  };
}

/** Finds the action, runs it and writes its answer; a Refusal becomes the service's error document. */
export async function answerQuery({
  service,
  actions,
  params,
  context,
}: {
  service: QueryService;
  actions: QueryActions;
  params: URLSearchParams;
  context: QueryContext;
}): Promise<QueryResponse> {
  try {
    const { Action, Version, ...form } = parseForm(params);
    if (typeof Action !== 'string') throw missingAction();
    const action = Object.hasOwn(actions, Action) ? actions[Action] : undefined;
    if (action === undefined || Version !== VERSIONS[service]) throw unknownAction(service, Action, Version);
    const result = await action(form, context);
    return { status: 200, xml: writeResult({ service, action: Action, result, context }) };
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return writeRefusal({ service, refusal: error, requestId: context.requestId });
  }
}

/** The error document as the service's SDK expects it. */
export function writeRefusal({
  service,
  refusal,
  requestId,
}: {
  service: QueryService;
  refusal: Refusal;
  requestId: string;
}): QueryResponse {
  const { status, code, message } = refusal;
  if (service === 'ec2') {
    const body = { Errors: { Error: { Code: code, Message: message } }, RequestID: requestId };
    return { status, xml: writeXml({ root: 'Response', body, lists: 'flat' }) };
  }
  const type = status < 500 ? 'Sender' : 'Receiver';
  const body = { Error: { Type: type, Code: code, Message: message }, RequestId: requestId };
  const namespace = NAMESPACES[service];
  return { status, xml: writeXml({ root: 'ErrorResponse', namespace, body, lists: 'flat' }) };
}

function writeResult({
  service,
  action,
  result,
  context,
}: {
  service: QueryService;
  action: string;
  result: XmlObject;
  context: QueryContext;
}): string {
  const root = `${action}Response`;
  const namespace = NAMESPACES[service];
  if (service === 'ec2') {
    const body = { requestId: context.requestId, ...result };
    return writeXml({ root, namespace, body, lists: 'item' });
  }
  const body = { [`${action}Result`]: result, ResponseMetadata: { RequestId: context.requestId } };
  return writeXml({ root, namespace, body, lists: 'member' });
}

function missingAction(): Refusal {
  const message = 'The request is missing an Action parameter.';
  return new Refusal({ status: 400, code: 'MissingAction', message });
}

function unknownAction(service: QueryService, action: string, version: FormTree | undefined): Refusal {
  if (service === 'ec2') {
    const message = `The action ${action} is not valid for this web service.`;
    return new Refusal({ status: 400, code: 'InvalidAction', message });
  }
  const message = `Could not find operation ${action} for version ${String(version ?? 'NO_VERSION_SPECIFIED')}`;
  return new Refusal({ status: 400, code: 'InvalidAction', message });
}

function dryRunPassed(): Refusal {
  const message = 'Request would have succeeded, but DryRun flag is set.';
  return new Refusal({ status: 412, code: 'DryRunOperation', message });
}
