#!/bin/bash
# run-contract.sh ROOT: runs the contract tests of the store, and of S3 itself, against a real S3 server: Ceph's gateway.
# ROOT is where its Debian root is kept from one run to the next. Fails if a test fails, or if none ran against the gateway.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
[ $# = 1 ] || { echo "usage: run-contract.sh ROOT" >&2; exit 2; }
"$here/make-root.sh" "$1"
data=$(mktemp -d)
trap '"$here/radosgw.sh" stop "$1" "$data"' EXIT
trap 'exit 1' INT TERM
settings=$("$here/radosgw.sh" start "$1" "$data")
eval "$settings"

cd "$here/../../.."
report=$data/report.json
npx vitest run --project contract --testNamePattern 'NEARSIDE_TEST_S3_ENDPOINT' \
  --reporter default --reporter json --outputFile.json="$report"
node -e '
  const report = JSON.parse(require("node:fs").readFileSync(process.argv[1], "utf8"));
  const ran = report.testResults.flatMap((file) => file.assertionResults)
    .filter((test) => test.fullName.includes("NEARSIDE_TEST_S3_ENDPOINT") && test.status === "passed").length;
  console.log(`${ran} passed against the S3 gateway`);
  process.exit(ran >= 80 ? 0 : 1);' "$report"
