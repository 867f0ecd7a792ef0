/** Who may import whom (docs/architecture.md has the picture), as pure functions over what files import. */

/** Paths from the project's folder, with `/`. */
export type SourceFile = { path: string; text: string };
export type Import = { from: string; to: string /** Erased when the program runs. */; isTypeOnly?: boolean };

/** What each room of `src` may import beside itself and `processes`, which every room but domain may use. */
const ROOMS: Readonly<Record<string, readonly string[]>> = {
  // Runs in browsers: of everything else it knows the shapes that the dashboard's API speaks in.
  page: [],
  domain: [],
  processes: ['domain'],
  workflow: ['domain'],
  blocks: ['domain'],
  state: ['domain'],
  evidence: ['domain'],
  notify: ['domain', 'state'],
  images: ['domain', 'blocks'],
  boot: ['domain', 'images'],
  stages: ['domain', 'blocks', 'images'],
  queue: ['domain', 'state'],
  operations: ['domain', 'state', 'queue', 'images', 'stages', 'config'],
  sandbox: ['domain', 'boot', 'images'],
  dashboard: ['domain', 'state', 'operations', 'queue', 'config', 'app'],
  cli: ['domain', 'state', 'operations', 'sandbox', 'dashboard', 'config', 'app'],
  adapters: ['domain', 'blocks', 'images'],
};

/** What may import everything: the composition root (the files of `src` itself), the command, tools, tests. */
const EVERYWHERE = new Set(['app', 'config', 'bin', 'tools', 'test']);

/** Packages that only some rooms, or folders of adapters, may import. */
const PACKAGES: readonly { name: RegExp; only: readonly string[] }[] = [
  { name: /^bullmq$/, only: ['queue'] },
  // BullMQ takes its connections from whoever made them.
  { name: /^ioredis$/, only: ['state', 'queue'] },
  { name: /^@aws-sdk\/client-s3$/, only: ['adapters/targets/aws', 'evidence', 'src/sandbox/seed.ts'] },
  // The sandbox's first bucket and role are made as a user would make them.
  { name: /^@(aws-sdk|smithy)\//, only: ['adapters/targets/aws', 'src/sandbox/seed.ts'] },
  { name: /^@azure\//, only: ['adapters/targets/azure'] },
  { name: /^nodemailer$/, only: ['notify'] },
  { name: /^(react|react-dom|radix-ui|wouter|uplot|@tanstack\/.*)(\/|$)/, only: ['page'] },
  // Native code: what it may call is declared in one place.
  { name: /^koffi$/, only: ['src/images/deflate.ts'] },
  // A child process that another room starts would outlive a killed parent; the detached `up` is meant to.
  { name: /^(execa|node:child_process)$/, only: ['processes', 'app', 'src/cli/ensure-up.ts'] },
];

/** The sandbox judges what our encoders write, so it may not read with the code that wrote it. */
const SANDBOX_IMAGES = /^src\/images\/header-guard/;
/** Domain is pure: no input or output, only schemas, hashes and calendars. */
const DOMAIN_PACKAGES = new Set(['zod', 'node:crypto', 'temporal-polyfill']);

const VAGUE_NAME = /(^|\/)(utils?|lib|helpers?|types|common|misc)(\.m?[jt]s$|\/)/;
const MAX_LINES = 350;
const TOP_LINES = 12;

/** Every import and re-export, of values and of types. */
export function listImports({ path, text }: SourceFile): Import[] {
  const code = text.replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '');
  return [STATIC_IMPORT, RE_EXPORT, DYNAMIC_IMPORT].flatMap((pattern) =>
    [...code.matchAll(pattern)].map(([statement, specifier = '']) => ({
      from: path,
      to: resolveSpecifier(path, specifier),
      isTypeOnly: /^\s*(import|export)\s+type\b/.test(statement),
    })),
  );
}

const STATIC_IMPORT = /^\s*import\s+(?:[\w$*{},\s]+?\sfrom\s+)?['"]([^'"]+)['"]/gm;
const RE_EXPORT = /^\s*export\s+(?:type\s+)?(?:\{[^}]*\}|\*(?:\s+as\s+\w+)?)\s*from\s+['"]([^'"]+)['"]/gm;
const DYNAMIC_IMPORT = /\bimport\(\s*['"`]([^'"`]+)['"`]/g;

/** Why this import is forbidden; null when it is allowed. */
export function judgeImport({ from, to, isTypeOnly = false }: Import): string | null {
  const room = roomOf(from);
  if (EVERYWHERE.has(room)) return null;
  if (room === 'page' && isTypeOnly && to.startsWith('src/dashboard/api/')) return null;
  return isFile(to) ? judgeFile({ from, to, room }) : judgePackage({ from, to, room });
}

function judgeFile({ from, to, room }: Import & { room: string }): string | null {
  const target = roomOf(to);
  const allowed = ROOMS[room];
  if (allowed === undefined) return `${from}: the rules know no room ${room}`;
  if (room === 'adapters' && target === 'adapters') return judgeNeighbour({ from, to });
  if (room === 'sandbox' && target === 'images' && !SANDBOX_IMAGES.test(to)) {
    return `${from} imports ${to}: of images, the sandbox may import the header guard only`;
  }
  const isAllowed =
    target === room ||
    allowed.includes(target) ||
    (target === 'processes' && room !== 'domain' && room !== 'page');
  return isAllowed ? null : `${from} imports ${to}: ${room} may not import ${target}`;
}

/** Adapters share nothing with each other; only the registry knows them all. */
function judgeNeighbour({ from, to }: Import): string | null {
  if (from === 'adapters/registry.ts' || adapterOf(from) === adapterOf(to)) return null;
  return `${from} imports ${to}: an adapter may not import another`;
}

function judgePackage({ from, to, room }: Import & { room: string }): string | null {
  if (room === 'domain' && !DOMAIN_PACKAGES.has(to)) return `${from} imports ${to}: domain is pure`;
  const rule = PACKAGES.find(({ name }) => name.test(to));
  if (rule === undefined || [room, adapterOf(from), from].some((each) => rule.only.includes(each)))
    return null;
  return `${from} imports ${to}: only ${rule.only.join(', ')} may`;
}

/**
 * The cycles that matter when the program is loaded, each as the files along it, the first one again at its end. Files
 * of one room may name each other's types; between rooms the rules above leave no way round.
 */
export function findCycles(imports: readonly Import[]): string[][] {
  const loaded = imports.filter(({ isTypeOnly }) => !isTypeOnly);
  const next = Map.groupBy(loaded, ({ from }) => from);
  const finished = new Set<string>();
  const cycles: string[][] = [];
  const visit = (file: string, trail: readonly string[]): void => {
    const start = trail.indexOf(file);
    if (start >= 0) {
      cycles.push([...trail.slice(start), file]);
      return;
    }
    if (finished.has(file)) return;
    for (const { to } of next.get(file) ?? []) visit(to, [...trail, file]);
    finished.add(file);
  };
  for (const file of next.keys()) visit(file, []);
  return cycles;
}

/** A file that is named for nothing, or too long without saying why at its top. */
export function judgeFileShape({ path, text }: SourceFile): string | null {
  if (VAGUE_NAME.test(path)) return `${path}: name it for what it holds`;
  const lines = text.trimEnd().split('\n');
  if (lines.length <= MAX_LINES) return null;
  const isJustified = lines
    .slice(0, TOP_LINES)
    .some((line) => /^(\/\*| \*|\/\/).*\b(long|lines)\b/i.test(line));
  return isJustified
    ? null
    : `${path} has ${lines.length} lines: split it, or say in a comment at its top why it is so long`;
}

function resolveSpecifier(path: string, specifier: string): string {
  if (!specifier.startsWith('.')) return specifier;
  return new URL(specifier, `file:///${path}`).pathname.slice(1);
}

function isFile(to: string): boolean {
  return /^(src|adapters|tools|test|bin)\//.test(to);
}

function roomOf(path: string): string {
  const [top = '', second = '', third] = path.split('/');
  if (top !== 'src') return top;
  if (path.startsWith('src/dashboard/page/')) return 'page';
  if (third !== undefined) return second;
  return second === 'config.ts' ? 'config' : 'app';
}

/** `adapters/targets/aws` */
function adapterOf(path: string): string {
  return path.split('/').slice(0, 3).join('/');
}
