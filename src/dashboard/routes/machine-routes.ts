/** One machine of a run: what is known, its disks, its console, its screenshot. */
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { LandfallError } from '../../domain/errors.ts';
import type { MachineRecord } from '../../domain/machine-record.ts';
import { readConsole, readScreenshot } from '../../operations/read-landing.ts';
import { consoleSchema, diskMapSchema, machineDetailSchema } from '../api/machine.ts';
import type { Desk } from '../desk.ts';
import { showDiskMap } from '../disk-map.ts';
import { readMachine, readMachineDetail } from '../machine-detail.ts';
import { REFUSALS } from '../problem.ts';
import { runParams } from './run-routes.ts';

const machineParams = runParams.extend({ machine: z.string().min(1).max(200) });
const PNG = Buffer.from('89504e470d0a1a0a', 'hex');

export const machineRoutes: FastifyPluginAsyncZod<{ desk: Desk }> = async (server, { desk }) => {
  const { redis, state, app } = desk;
  const { evidence } = app;
  const find = async (of: { run: string; machine: string }): Promise<MachineRecord> =>
    readMachine({ state }, { run: await desk.findRun(of.run), machine: of.machine });

  server.get(
    '/api/runs/:run/machines/:machine',
    {
      schema: {
        summary: 'A machine: steps, disks, landing, proof, what it made',
        params: machineParams,
        response: { 200: machineDetailSchema, ...REFUSALS },
      },
    },
    ({ params }) =>
      redis.whileThere(async () =>
        readMachineDetail(app, { run: await desk.findRun(params.run), machine: params.machine }),
      ),
  );

  server.get(
    '/api/runs/:run/machines/:machine/disks/:disk/map',
    {
      schema: {
        summary: 'What of a disk is copied, zero, to do',
        params: machineParams.extend({ disk: z.string().min(1).max(100) }),
        querystring: z.object({ cells: z.coerce.number().int().min(16).max(512).default(512) }),
        response: { 200: diskMapSchema, ...REFUSALS },
      },
    },
    ({ params, query }) =>
      redis.whileThere(async () =>
        showDiskMap(state, { record: await find(params), disk: params.disk, cells: query.cells }),
      ),
  );

  server.get(
    '/api/runs/:run/machines/:machine/console',
    {
      schema: {
        summary: 'Console text, from an offset on; without one, its end',
        params: machineParams,
        querystring: z.object({ offset: z.coerce.number().int().min(0).optional() }),
        response: { 200: consoleSchema, ...REFUSALS },
      },
    },
    ({ params, query }) =>
      redis.whileThere(async () => {
        const record = await find(params);
        const shown = await readConsole({ state, evidence, record }, query.offset ?? null);
        if (shown === null) throw nothingSeen(record, 'console text');
        return shown;
      }),
  );

  server.get(
    '/api/runs/:run/machines/:machine/screenshot',
    {
      schema: {
        summary: 'The newest screenshot of the landing',
        params: machineParams,
        produces: ['image/png'],
        response: { 200: z.any().describe('image/png'), ...REFUSALS },
      },
    },
    async ({ params }, reply) => {
      const png = await redis.whileThere(async () => {
        const record = await find(params);
        const found = await readScreenshot({ state, evidence, record });
        // What is no picture is not sent as one, whoever wrote it.
        if (found === null || !PNG.equals(found.subarray(0, PNG.length)))
          throw nothingSeen(record, 'screenshot');
        return found;
      });
      return reply
        .type('image/png')
        .header('cache-control', 'no-cache')
        .header('x-content-type-options', 'nosniff')
        .send(Buffer.from(png.buffer, png.byteOffset, png.byteLength));
    },
  );
};

function nothingSeen({ machine, run }: MachineRecord, what: string): LandfallError {
  return new LandfallError({
    code: 'not-found',
    message: `There is no ${what} of ${machine.name} in ${run}: none was seen yet, its target gives none, or the evidence is not where this dashboard looks (LANDFALL_EVIDENCE).`,
  });
}
