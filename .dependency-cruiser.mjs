// Import directions: which folder may import which, and where an outside package is imported.
// A folder that is not in the table below fails the check, and so does a package of PACKAGE_FOLDERS
// in any other place. Tests may import everything.

/** Folder of src → the folders of src it may import, besides itself. */
const MAY_IMPORT = {
  base: [],
  grid: ["base"],
  "messaging-grid": ["base", "grid"],
  "data-pump": ["base", "grid"],
  "processing-units": ["base", "grid", "messaging-grid", "data-pump"],
};
// Five tools that do not know one another.
const ENGINE = Object.keys(MAY_IMPORT);
const TOOLS = ["simulation", "faults", "checkers", "load", "report"];
for (const tool of TOOLS) MAY_IMPORT[tool] = ENGINE;
MAY_IMPORT["bidding-demo"] = [...ENGINE, ...TOOLS];
MAY_IMPORT.lab = [...ENGINE, ...TOOLS, "bidding-demo"];
MAY_IMPORT.cli = [...ENGINE, ...TOOLS, "bidding-demo", "lab"];

/** Outside package → the only folders of the program that import it (for its types, too). */
const PACKAGE_FOLDERS = {
  "hazelcast-client": ["src/grid/stores"],
  lmdb: ["src/grid/stores"],
  postgres: ["src/data-pump"],
  piscina: ["src/processing-units"],
  fastify: ["src/processing-units", "src/messaging-grid"],
  "@fastify/static": ["src/processing-units"],
  ws: ["src/processing-units", "src/messaging-grid"],
  commander: ["src/cli"],
};

const escape = (text) => text.replaceAll(/[./]/g, "\\$&");
const anyOf = (texts) => `(?:${texts.map(escape).join("|")})`;

const directions = Object.entries(MAY_IMPORT).map(([folder, others]) => ({
  name: `src-${folder}-imports-one-way`,
  comment: `src/${folder} may import: ${others.join(", ") || "no other folder"}`,
  severity: "error",
  from: { path: `^src/${folder}/` },
  to: { path: "^(?:src|bench|tests)/", pathNot: `^src/${anyOf([folder, ...others])}/` },
}));

const packages = Object.entries(PACKAGE_FOLDERS).map(([name, folders]) => ({
  name: `only-here-${name.replaceAll("/", "-")}`,
  comment: `${name} is imported only in ${folders.join(", ")}`,
  severity: "error",
  from: { path: "^src/", pathNot: `^${anyOf(folders)}/` },
  to: { path: `^node_modules/(?:@types/)?${escape(name)}/` },
}));

/** @type {import("dependency-cruiser").IConfiguration} */
export default {
  forbidden: [
    ...directions,
    ...packages,
    {
      name: "known-folder",
      comment: "a folder of src has a line in MAY_IMPORT, which says where it stands",
      severity: "error",
      from: { path: "^src/", pathNot: `^src/${anyOf(Object.keys(MAY_IMPORT))}/` },
      to: {},
    },
    {
      name: "bench-not-tests",
      comment: "bench stands beside cli and tests: it imports neither",
      severity: "error",
      from: { path: "^bench/" },
      to: { path: "^(?:tests|src/cli)/" },
    },
    {
      name: "no-cycle",
      comment: "modules that import one another cannot be understood one at a time",
      severity: "error",
      from: {},
      to: { circular: true },
    },
    {
      name: "resolvable",
      comment: "an import leads to a file, or to a package of package.json",
      severity: "error",
      from: {},
      to: { couldNotResolve: true },
    },
    {
      name: "declared-package",
      comment: "a package that only another package brought in may go away with it",
      severity: "error",
      from: {},
      to: { dependencyTypes: ["npm-no-pkg", "npm-unknown"] },
    },
    {
      name: "no-development-package",
      comment: "the program runs with --omit=dev; types of a development package are erased",
      severity: "error",
      from: { path: "^src/" },
      to: { dependencyTypes: ["npm-dev"], dependencyTypesNot: ["type-only"] },
    },
  ],
  options: {
    doNotFollow: { path: "^node_modules/" },
    exclude: { path: "^(?:coverage|data)/" },
    // Imports of types count: knowing a folder's types is knowing the folder.
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.json" },
    enhancedResolveOptions: { exportsFields: ["exports"], conditionNames: ["import", "node"] },
  },
};
