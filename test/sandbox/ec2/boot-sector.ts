/** Disks of a few sectors that boot: they speak on the first serial port, then rest or power off. */

const SECTOR = 512;
const LOAD_ADDRESS = 0x7c00;
/** Halts for ever. */
const REST = [0xf4, 0xeb, 0xfd];
/** Writes S5 to the power management port of a q35 machine. */
const POWER_OFF = [0xba, 0x04, 0x06, 0xb8, 0x00, 0x20, 0xef, ...REST];

export function bootDisk(
  text: string,
  options: { end?: 'rest' | 'power-off'; sectors?: number } = {},
): Buffer {
  const { end: ending = 'rest', sectors = 2048 } = options;
  const end = ending === 'rest' ? REST : POWER_OFF;
  // cld; xor ax,ax; mov ds,ax; mov si,message; next: lodsb; test al,al; jz end; mov ah,al;
  // ready: mov dx,3fdh; in al,dx; test al,20h; jz ready; mov al,ah; mov dx,3f8h; out dx,al; jmp next; end:
  const speak = [
    ...[0xac, 0x84, 0xc0, 0x74, 0x12, 0x88, 0xc4],
    ...[0xba, 0xfd, 0x03, 0xec, 0xa8, 0x20, 0x74, 0xf8],
    ...[0x88, 0xe0, 0xba, 0xf8, 0x03, 0xee, 0xeb, 0xe9],
  ];
  const head = [0xfc, 0x31, 0xc0, 0x8e, 0xd8, 0xbe];
  const message = LOAD_ADDRESS + head.length + 2 + speak.length + end.length;
  const code = Buffer.from([...head, message & 0xff, message >> 8, ...speak, ...end]);
  const disk = Buffer.alloc(sectors * SECTOR);
  code.copy(disk);
  disk.write(`${text}\0`, code.length, 'latin1');
  disk.writeUInt16LE(0xaa55, SECTOR - 2);
  return disk;
}
