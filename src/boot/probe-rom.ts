/**
 * The smallest guest that tells a working accelerator from one that only opens: a 64 KiB firmware that enters 64-bit
 * mode with paging, counts down from 2^26, halts until the timer's interrupt, and then ends QEMU with a known status.
 * A few instructions prove nothing: a host without real virtualisation may step through them in an emulator, where the
 * countdown (0.03 s of a real processor, 0.2 s under TCG) was seen to take a minute.
 */

const ROM_BYTES = 0x10000;
/** Where the code lies in the ROM; the ROM's last 64 KiB also appear at 0xf0000. */
const CODE_OFFSET = 0xfe00;
/** The processor starts 16 bytes below the ROM's end. */
const RESET_OFFSET = 0xfff0;

/** `ljmp $0xf000, $0xfe00` */
const RESET_CODE = 'ea 00fe 00f0';

const CODE = `
  fa                              # cli
  31c0 8ed8                       # xor ax, ax; mov ds, ax
  66c7060010 03200000             # PML4 at 0x1000: entry 0 -> 0x2000
  66c7060020 03300000             # PDPT at 0x2000: entry 0 -> 0x3000
  66c7060030 83000000             # PD at 0x3000: the first 2 MiB, mapped as they are
  66c7061820 03400000             # PDPT entry 3 -> PD at 0x4000
  66c706b84f 9b00e0fe             # ... which maps 0xfee00000, the local APIC, uncached
  66c7060052 cbfe0800             # IDT at 0x5000: vector 0x20 -> 0x08:0x000ffecb
  66c7060452 008e0f00             # ... a 64-bit interrupt gate
  b011 e620 b020 e621             # PIC: initialise, vectors from 0x20
  b004 e621 b001 e621 b0fe e621   # ... cascade, 8086 mode, only the timer unmasked
  b034 e643 b02e e640 e640        # PIT: channel 0, rate generator, divisor 0x2e2e (100 Hz)
  66b820000000 0f22e0             # CR4.PAE
  66b800100000 0f22d8             # CR3 = 0x1000
  66b9800000c0 0f32 80cc01 0f30   # EFER.LME
  2e660f0116e0fe                  # lgdt
  2e660f011ee6fe                  # lidt
  0f20c0 660d01000080 0f22c0      # CR0: paging and protection, and so long mode
  66eaa3fe0f000800                # ljmp 0x08:0x000ffea3
  bc00800000                      # (64-bit) mov esp, 0x8000
  bff000e0fe c707ff010000         # APIC: spurious vector register, enabled
  bf5003e0fe c70700070000         # APIC: LINT0 takes the PIC's interrupts
  b900000004 ffc9 75fc            # mov ecx, 2^26; dec ecx; jnz: the work
  fb f4 ebfd                      # sti; hlt, for ever
  b02a e6f4 f4                    # (0xffecb, the timer's handler) mov al, 42; out 0xf4, al; hlt
  0000000000000000                # (0xffed0) GDT: null
  00000000009b2000                # ... 0x08: 64-bit code, already marked accessed since a ROM cannot be written
  0f00 d0fe0f00                   # (0xffee0) GDT pointer
  0f02 00500000                   # (0xffee6) IDT pointer
`;

/** isa-debug-exit turns the 42 that the guest writes to port 0xf4 into this exit status: 42 * 2 + 1. */
export const PROBE_EXIT_STATUS = 85;

export function probeRom(): Buffer {
  // 0xf4 is hlt: whatever runs astray stops.
  const rom = Buffer.alloc(ROM_BYTES, 0xf4);
  bytesOf(CODE).copy(rom, CODE_OFFSET);
  bytesOf(RESET_CODE).copy(rom, RESET_OFFSET);
  return rom;
}

function bytesOf(listing: string): Buffer {
  const digits = listing
    .split('\n')
    .map((line) => line.replace(/#.*/, '').replace(/\s/g, ''))
    .join('');
  return Buffer.from(digits, 'hex');
}
