// The architecture as rules. Lower layers never import higher ones:
//
//   functions                                   wiring: one file per process
//   git-http  lfs-http  blob-http  bundles  sync  lfs  webhook  reconcile  relay  pages   use-cases: never import each other
//   mirror                                      what is mirrored, and how it goes: configuration, states, jobs
//   repo                                        a git repository laid out on a blob store
//   store  queue  auth  bitbucket  http         ports and their adapters: never import each other
//   indexer                                     the engine's pack indexing over worker threads and local disk
//   git                                         the engine: bytes in, bytes out
//   errors  log  age  document-json  in-batches
const USE_CASES = "git-http|lfs-http|blob-http|bundles|sync|lfs|webhook|reconcile|relay|pages";
const PORTS = "store|queue|auth|bitbucket|http";
const ADAPTER = "^lib/[a-z-]+/(s3|sqs|ssm|eventbridge|lambda|fs|memory|node|middy)-[a-z-]+[.]ts$";

/** @type {import('dependency-cruiser').IConfiguration} */
module.exports = {
  forbidden: [
    {
      name: "git-is-closed",
      comment: "The engine imports only itself, lib/errors.ts and lib/printable-line.ts.",
      severity: "error",
      from: { path: "^lib/git/" },
      to: { pathNot: "^lib/(git/|(errors|printable-line)[.]ts$)", dependencyTypesNot: ["core"] },
    },
    {
      name: "git-does-no-io",
      comment: "zlib, crypto and async_hooks are computation; every other node: module is I/O.",
      severity: "error",
      from: { path: "^lib/git/" },
      to: { dependencyTypes: ["core"], pathNot: "^(zlib|crypto|async_hooks)$" },
    },
    {
      name: "ports-stay-low",
      severity: "error",
      from: { path: `^lib/(${PORTS})/` },
      to: { path: `^lib/(repo|mirror|${USE_CASES})/` },
    },
    {
      name: "ports-are-siblings",
      severity: "error",
      from: { path: `^lib/(${PORTS})/` },
      to: { path: `^lib/(${PORTS})/`, pathNot: "^lib/$1/" },
    },
    {
      name: "repo-knows-git-and-store",
      severity: "error",
      from: { path: "^lib/repo/" },
      to: {
        path: "^lib/",
        pathNot: "^lib/(repo/|git/|store/|(errors|log|document-json|in-batches|transfer-pace)[.]ts$)",
      },
    },
    {
      name: "mirror-knows-repo-and-store",
      severity: "error",
      from: { path: "^lib/mirror/" },
      to: {
        path: "^lib/",
        pathNot: "^lib/(mirror/|repo/|store/|(errors|log|in-batches|printable-line)[.]ts$)",
      },
    },
    {
      name: "use-cases-are-siblings",
      comment: "They meet only in functions/.",
      severity: "error",
      from: { path: `^lib/(${USE_CASES})/` },
      to: { path: `^lib/(${USE_CASES})/`, pathNot: "^lib/$1/" },
    },
    {
      name: "adapters-only-where-wired",
      comment:
        "Code asks for the interface; functions/ and test/ pick the adapter, which may be in several files.",
      severity: "error",
      from: { pathNot: `^(functions|test)/|${ADAPTER}` },
      to: { path: ADAPTER },
    },
    {
      name: "aws-sdk-only-in-adapters",
      severity: "error",
      from: { path: "^lib/", pathNot: ADAPTER },
      to: { path: "node_modules/@aws-sdk/" },
    },
    {
      name: "lib-not-upward",
      severity: "error",
      from: { path: "^lib/" },
      to: { path: "^(functions|infra|test)/" },
    },
    {
      name: "infra-shares-only-config",
      severity: "error",
      from: { path: "^infra/" },
      to: {
        path: "^(lib|functions)/",
        pathNot: "^lib/(config|settings|settings-file|parse-setting|address-ranges|metrics)[.]ts$",
      },
    },
    {
      name: "indexer-knows-git",
      severity: "error",
      from: { path: "^lib/indexer/" },
      to: { path: "^lib/", pathNot: "^lib/(indexer/|git/|errors[.]ts$|log[.]ts$)" },
    },
    { name: "no-circular", severity: "error", from: {}, to: { circular: true } },
    { name: "no-unresolvable", severity: "error", from: {}, to: { couldNotResolve: true } },
  ],
  options: {
    tsPreCompilationDeps: true, // type-only imports count: they couple too
    tsConfig: { fileName: "tsconfig.json" },
    doNotFollow: { path: "node_modules" },
    enhancedResolveOptions: {
      extensions: [".ts", ".js", ".json"],
      conditionNames: ["import", "node", "default"],
      exportsFields: ["exports"],
    },
  },
};
