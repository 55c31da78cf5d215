/** Prints the git configuration with which a client fetches packs and bundles straight from the store: `npm run client-config`. */
const [scope = "--global"] = process.argv.slice(2);

process.stdout.write(
  [
    "# Whole packs, in clones and fetches. Add http for a mirror on this machine: https,http",
    `git config ${scope} fetch.uriProtocols https`,
    "# A clone begins with a bundle of the main branch (git 2.40 or later)",
    `git config ${scope} transfer.bundleURI true`,
    "",
  ].join("\n"),
);
