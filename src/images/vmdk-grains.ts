/** Checks that a sparse VMDK's directory, tables and grains lie within its file. */
import { SECTOR_BYTES } from './disk-size.ts';
import { COPY_AGAIN, corruptImage } from './refusal.ts';
import type { SliceReader } from './slice-reader.ts';
import type { SparseHeader } from './vmdk-sparse-header.ts';

/** A grain entry of 0 is unallocated, of 1 a grain of zeros. */
const FIRST_REAL_SECTOR = 2;
/** A compressed grain is led by its disk sector (8 bytes) and its compressed size (4 bytes). */
const GRAIN_MARKER_BYTES = 12;
const MAX_TABLES_AT_ONCE = 512;

type Tables = Pick<SparseHeader, 'capacitySectors' | 'grainSectors' | 'entriesPerTable' | 'isCompressed'> & {
  directorySector: number;
  redundantDirectorySector: number | null;
};

/** The grain that lies last in the file: where it fits, all others do. */
type LastGrain = { sector: number; index: number };

export async function checkGrainTables(reader: SliceReader, tables: Tables): Promise<void> {
  const { capacitySectors, grainSectors, entriesPerTable } = tables;
  const directoryBytes = Math.ceil(capacitySectors / (grainSectors * entriesPerTable)) * 4;
  if (tables.redundantDirectorySector !== null) {
    const offsetBytes = tables.redundantDirectorySector * SECTOR_BYTES;
    reader.expect({ offsetBytes, lengthBytes: directoryBytes, what: 'its redundant grain directory' });
  }
  const directory = {
    offsetBytes: tables.directorySector * SECTOR_BYTES,
    lengthBytes: directoryBytes,
    what: 'its grain directory',
  };
  const last: LastGrain = { sector: 0, index: 0 };
  let readBytes = 0;
  let firstTable = 0;
  for await (const batch of reader.readInBatches(directory)) {
    for (const run of runsOfTables(batch, entriesPerTable)) {
      const lengthBytes = run.count * entriesPerTable * 4;
      readBytes += lengthBytes;
      // Tables that share their bytes could make a small file cost hours of reading.
      if (readBytes > reader.lengthBytes) throw damaged(reader, 'its grain tables overlap');
      const bytes = await reader.read({
        offsetBytes: run.sector * SECTOR_BYTES,
        lengthBytes,
        what: 'a grain table',
      });
      findLastGrain(bytes, { last, firstIndex: (firstTable + run.first) * entriesPerTable });
    }
    firstTable += batch.length / 4;
  }
  await checkLastGrain(reader, { tables, last });
}

/** Tables often lie side by side: such a run is read at once. */
function* runsOfTables(directory: Buffer, entriesPerTable: number) {
  const tableSectors = (entriesPerTable * 4) / SECTOR_BYTES;
  const tableCount = directory.length / 4;
  for (let first = 0; first < tableCount; ) {
    const sector = directory.readUInt32LE(first * 4);
    let count = 1;
    if (sector === 0) {
      first += 1;
      continue;
    }
    while (
      count < MAX_TABLES_AT_ONCE &&
      first + count < tableCount &&
      directory.readUInt32LE((first + count) * 4) === sector + count * tableSectors
    ) {
      count += 1;
    }
    yield { first, count, sector };
    first += count;
  }
}

function findLastGrain(table: Buffer, { last, firstIndex }: { last: LastGrain; firstIndex: number }): void {
  for (let at = 0; at < table.length; at += 4) {
    const sector = table.readUInt32LE(at);
    if (sector <= last.sector) continue;
    last.sector = sector;
    last.index = firstIndex + at / 4;
  }
}

async function checkLastGrain(
  reader: SliceReader,
  { tables, last }: { tables: Tables; last: LastGrain },
): Promise<void> {
  if (last.sector < FIRST_REAL_SECTOR) return;
  const offsetBytes = last.sector * SECTOR_BYTES;
  const what = 'its last grain';
  if (!tables.isCompressed) {
    const restSectors = Math.max(1, tables.capacitySectors - last.index * tables.grainSectors);
    const lengthBytes = Math.min(tables.grainSectors, restSectors) * SECTOR_BYTES;
    reader.expect({ offsetBytes, lengthBytes, what });
    return;
  }
  const marker = await reader.read({ offsetBytes, lengthBytes: GRAIN_MARKER_BYTES, what });
  reader.expect({ offsetBytes, lengthBytes: GRAIN_MARKER_BYTES + marker.readUInt32LE(8), what });
}

function damaged({ label }: SliceReader, found: string) {
  return corruptImage({ label, found, remedy: COPY_AGAIN });
}
