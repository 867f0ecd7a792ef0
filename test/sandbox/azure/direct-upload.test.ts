import { createHash, randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  type AzureFixture,
  FAST,
  fixedVhd,
  GROUP,
  grantWrite,
  pagesAt,
  refusalOf,
  startAzureFixture,
  uploadDisk,
  vhdFooter,
} from './fixture.ts';

const MIB = 1024 * 1024;
const VIRTUAL_BYTES = 20 * MIB;
const VHD_BYTES = VIRTUAL_BYTES + 512;

let fixture: AzureFixture;
let now = Date.now();

beforeAll(async () => {
  fixture = await startAzureFixture({ now: () => now });
});
afterAll(() => fixture[Symbol.asyncDispose]());

const stateOf = async (name: string) => (await fixture.compute.disks.get(GROUP, name)).diskState;

describe('a disk under upload', () => {
  test('goes from ReadyToUpload over ActiveUpload to Unattached, and reads back what was written', async () => {
    const { compute, sandbox } = fixture;
    const vhd = fixedVhd(randomBytes(3 * MIB));
    const made = await compute.disks.createOrUpdate(
      GROUP,
      'whole',
      uploadDisk(sandbox.location, VHD_BYTES),
      FAST,
    );
    expect(made).toMatchObject({ diskState: 'ReadyToUpload', diskSizeBytes: VIRTUAL_BYTES });
    const pages = pagesAt(await grantWrite(compute, 'whole'));
    expect(await stateOf('whole')).toBe('ActiveUpload');
    expect((await pages.getProperties()).contentLength).toBe(VHD_BYTES);

    await pages.uploadPages(vhd.subarray(0, 3 * MIB), 0, 3 * MIB);
    await pages.uploadPages(vhd.subarray(-512), VIRTUAL_BYTES, 512);
    const ranges = [];
    for await (const { start, end } of pages.listPageRanges()) ranges.push([start, end]);
    expect(ranges).toEqual([
      [0, 3 * MIB - 1],
      [VIRTUAL_BYTES, VHD_BYTES - 1],
    ]);
    await compute.disks.revokeAccess(GROUP, 'whole', FAST);
    expect(await stateOf('whole')).toBe('Unattached');

    const read = await compute.disks.grantAccess(
      GROUP,
      'whole',
      { access: 'Read', durationInSeconds: 60 },
      FAST,
    );
    expect(await stateOf('whole')).toBe('ActiveSAS');
    const bytes = await pagesAt(read.accessSAS ?? '').downloadToBuffer();
    expect(createHash('sha256').update(bytes).digest('hex')).toBe(
      createHash('sha256').update(vhd).digest('hex'),
    );
    const { code } = await refusalOf(pagesAt(read.accessSAS ?? '').uploadPages(Buffer.alloc(512), 0, 512));
    expect(code).toBe('AuthorizationPermissionMismatch');
    await compute.disks.revokeAccess(GROUP, 'whole', FAST);
    await compute.disks.delete(GROUP, 'whole', FAST);
    expect(await refusalOf(compute.disks.get(GROUP, 'whole'))).toMatchObject({
      statusCode: 404,
      code: 'ResourceNotFound',
    });
  });

  test('counts each write by its offset, and clears pages', async () => {
    const pages = await fixture.openUpload('counted', VHD_BYTES);
    await pages.uploadPages(Buffer.alloc(1024, 1), 4096, 1024);
    await pages.uploadPages(Buffer.alloc(1024, 2), 4096, 1024);
    await pages.clearPages(4096, 512);
    const { requests } = fixture.sandbox;
    expect([...requests.writtenPages('counted')]).toEqual([[4096, 2]]);
    expect(requests.writtenPageBytes('counted')).toBe(2048);
    expect([...requests.clearedPages('counted')]).toEqual([[4096, 1]]);
    expect(await pages.downloadToBuffer(4096, 1024)).toEqual(
      Buffer.concat([Buffer.alloc(512), Buffer.alloc(512, 2)]),
    );
  });
});

describe('a page write', () => {
  const cases: [string, number, number, string][] = [
    ['that is not aligned', 100, 512, 'InvalidPageRange'],
    ['of an odd length', 0, 700, 'InvalidPageRange'],
    ['over 4 MiB', 0, 4 * MIB + 512, 'RequestBodyTooLarge'],
    ['past the end', VIRTUAL_BYTES, 1024, 'InvalidPageRange'],
  ];
  test.each(cases)('%s is refused', async (name, offset, length, code) => {
    const pages = await fixture.openUpload(`page-${name.replaceAll(/\W/g, '')}`, VHD_BYTES);
    expect(await refusalOf(pages.uploadPages(Buffer.alloc(length, 1), offset, length))).toMatchObject({
      code,
    });
  });

  test('is checked against its MD5 or its CRC64', async () => {
    const pages = await fixture.openUpload('checksums', VHD_BYTES);
    const body = Buffer.alloc(512, 7);
    const md5 = createHash('md5').update(body).digest();
    await pages.uploadPages(body, 0, 512, { transactionalContentMD5: md5 });
    // The endpoint always says the CRC64 of what it took.
    const { xMsContentCrc64 } = await pages.uploadPages(body, 512, 512);
    const crc64 = xMsContentCrc64 ?? new Uint8Array();
    await pages.uploadPages(body, 1024, 512, { transactionalContentCrc64: crc64 });
    const other = Buffer.alloc(512, 8);
    expect(await refusalOf(pages.uploadPages(other, 0, 512, { transactionalContentMD5: md5 }))).toMatchObject(
      {
        statusCode: 400,
        code: 'Md5Mismatch',
      },
    );
    expect(
      await refusalOf(pages.uploadPages(other, 0, 512, { transactionalContentCrc64: crc64 })),
    ).toMatchObject({
      statusCode: 400,
      code: 'Crc64Mismatch',
    });
  });

  test('needs a signature that is sound, in time and not revoked', async () => {
    const { compute } = fixture;
    const pages = await fixture.openUpload('signed', VHD_BYTES);
    const write = (address: string) => refusalOf(pagesAt(address).uploadPages(Buffer.alloc(512, 1), 0, 512));
    const [bare = ''] = pages.url.split('?');
    expect(await write(bare)).toMatchObject({ statusCode: 403, code: 'AuthenticationFailed' });
    expect(await write(pages.url.replace(/sig=./, 'sig=_'))).toMatchObject({
      statusCode: 403,
      code: 'AuthenticationFailed',
    });

    const short = await grantWrite(compute, 'signed', 60);
    now += 61_000;
    expect(await write(short)).toMatchObject({ statusCode: 403, code: 'AuthenticationFailed' });
    await pages.uploadPages(Buffer.alloc(512, 1), 0, 512);

    // Without a footer the disk is not finalised, and its signatures are gone all the same.
    const failed = await refusalOf(compute.disks.revokeAccess(GROUP, 'signed', FAST));
    expect(failed.message).toMatch(/InvalidVhd.*cookie/);
    expect(await write(pages.url)).toMatchObject({ statusCode: 403, code: 'AuthenticationFailed' });
    expect(await stateOf('signed')).toBe('ActiveUpload');
    await pagesAt(await grantWrite(compute, 'signed')).uploadPages(
      vhdFooter(VIRTUAL_BYTES),
      VIRTUAL_BYTES,
      512,
    );
    await compute.disks.revokeAccess(GROUP, 'signed', FAST);
    expect(await stateOf('signed')).toBe('Unattached');
  });

  test('is all that a signature allows: the blob itself is not made, resized or removed', async () => {
    const pages = await fixture.openUpload('kept', VHD_BYTES);
    const forbidden = { statusCode: 403, code: 'AuthorizationPermissionMismatch' };
    expect(await refusalOf(pages.create(1024))).toMatchObject(forbidden);
    expect(await refusalOf(pages.resize(1024))).toMatchObject(forbidden);
    expect(await refusalOf(pages.delete())).toMatchObject(forbidden);
  });
});

describe('the end of an upload', () => {
  const damage = (change: (footer: Buffer) => void, virtualBytes = VIRTUAL_BYTES): Buffer => {
    const footer = vhdFooter(virtualBytes);
    change(footer);
    return footer;
  };
  const cases: [string, Buffer, RegExp][] = [
    ['a footer of another size', vhdFooter(VIRTUAL_BYTES + MIB), /uploadSizeBytes/],
    ['a footer with a wrong checksum', damage((footer) => footer.writeUInt8(9, 30)), /checksum/],
    ['a size that is not of whole MiB', vhdFooter(VIRTUAL_BYTES + 512), /unsupported virtual size/],
  ];
  test.each(cases)('refuses %s', async (name, footer, message) => {
    const disk = name.replaceAll(' ', '-');
    const pages = await fixture.openUpload(disk, VHD_BYTES);
    await pages.uploadPages(footer, VIRTUAL_BYTES, 512);
    expect((await refusalOf(fixture.compute.disks.revokeAccess(GROUP, disk, FAST))).message).toMatch(message);
  });

  test('is the end: no more write access, and a delete waits for the signatures', async () => {
    const { compute } = fixture;
    const pages = await fixture.openUpload('ended', VHD_BYTES);
    expect(await refusalOf(compute.disks.delete(GROUP, 'ended', FAST))).toMatchObject({
      code: 'OperationNotAllowed',
    });
    await pages.uploadPages(vhdFooter(VIRTUAL_BYTES), VIRTUAL_BYTES, 512);
    await compute.disks.revokeAccess(GROUP, 'ended', FAST);
    expect(await refusalOf(grantWrite(compute, 'ended'))).toMatchObject({
      statusCode: 409,
      code: 'OperationNotAllowed',
    });
  });
});
