// House rules for package.json and package-lock.json.
// Owns: exact versions, the oldest version of a package that is known to be safe, packages that are
// not to be used, one Node for all platforms.

/** Oldest safe versions. Older ones have known holes; the reason stands beside each. */
const FLOORS = new Map([
  // Validation bypassed by Content-Type (CVE-2026-33806) or by a proxy header (CVE-2026-3635).
  ["fastify", "5.8.5"],
  // Memory exhausted by fragments (CVE-2026-48779, CVE-2026-62389).
  ["ws", "8.21.1"],
  // Endless recursion on a crafted message (CVE-2023-52079).
  ["msgpackr", "1.10.1"],
  // The protocol of members older than 5.7.0 (CVE-2026-107725).
  ["hazelcast-client", "5.7.0"],
]);

const FORBIDDEN = new Map([
  ["@fastify/middie", "authorise in hooks: its path matching was bypassed six times in 2026"],
  ["@fastify/websocket", "use ws: a client could end the process (CVE-2022-39386)"],
]);

const GROUPS = ["dependencies", "devDependencies", "optionalDependencies", "overrides"] as const;

/** The part of package.json that the rules read. */
export type PackageManifest = Partial<Record<(typeof GROUPS)[number], Record<string, string>>>;

/** The part of package-lock.json that the rules read: installed folder → version. */
export interface PackageLock {
  readonly packages: Readonly<Record<string, { readonly version?: string }>>;
}

export function manifestProblems(manifest: PackageManifest): string[] {
  const problems: string[] = [];
  for (const group of GROUPS) {
    for (const [name, version] of Object.entries(manifest[group] ?? {})) {
      if (!/^\d+\.\d+\.\d+(?:-[\w.]+)?$/.test(version)) {
        problems.push(`${group}: ${name} ${version}: write one exact version`);
      }
    }
  }
  const nodes = new Set(Object.values(manifest.optionalDependencies ?? {}));
  if (nodes.size !== 1) {
    problems.push(`optionalDependencies: ${[...nodes].join(", ")}: one Node for all platforms`);
  }
  return problems;
}

/** Looks at every installed copy, those that other packages brought in included. */
export function lockProblems(lock: PackageLock): string[] {
  const problems: string[] = [];
  for (const [folder, { version }] of Object.entries(lock.packages)) {
    const name = folder.slice(folder.lastIndexOf("node_modules/") + "node_modules/".length);
    const forbidden = FORBIDDEN.get(name);
    if (forbidden !== undefined) problems.push(`${folder}: ${forbidden}`);
    const floor = FLOORS.get(name);
    if (floor !== undefined && (version === undefined || isOlder(version, floor))) {
      problems.push(`${folder}: ${version ?? "no version"} is older than ${floor}, which is safe`);
    }
  }
  return problems;
}

function isOlder(version: string, floor: string): boolean {
  const numbers = (text: string): number[] => text.split(/[.-]/).slice(0, 3).map(Number);
  const floors = numbers(floor);
  for (const [index, number] of numbers(version).entries()) {
    const other = floors[index] ?? 0;
    if (number !== other) return number < other;
  }
  // A pre-release of the floor itself comes before it.
  return version.includes("-");
}
