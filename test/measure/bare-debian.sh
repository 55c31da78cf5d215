#!/bin/bash
# bare-debian.sh ROOT: how long it takes from the tarball to a clone of the demo, in a Debian root with git, Node 24 and npm alone and without
# npm's cache. Makes the root by debootstrap where it is not there. Needs root, and npm ci in the checkout.
set -euo pipefail
[ $# = 1 ] || { echo "usage: bare-debian.sh ROOT" >&2; exit 2; }
project=$(readlink -f "$(dirname "$0")/../..")
root=$(readlink -f "$(dirname "$1")")/$(basename "$1")
if [ ! -e "$root/usr/bin/git" ]; then
  debootstrap --variant=minbase --include=ca-certificates,git stable "$root" >"$root.log" 2>&1 || { tail "$root.log" >&2; exit 1; }
fi
cp -L "$project/node_modules/node/bin/node" "$root/usr/local/bin/node"
mkdir -p "$root/usr/local/lib/node_modules"
cp -r "$(dirname "$(dirname "$(readlink -f "$(command -v npm)")")")" "$root/usr/local/lib/node_modules/"
ln -sf ../lib/node_modules/npm/bin/npx-cli.js "$root/usr/local/bin/npx"

work=$(mktemp -d "$root/root/try-XXXXXX")
trap 'rm -rf "$work"' EXIT
(cd "$work" && "$project/node_modules/node/bin/node" "$project/infra/package.ts" >/dev/null)
cat >"$work/try.sh" <<'END'
set -eu
cd "$(dirname "$0")"
export HOME=$PWD
started=$(date +%s.%N)
# A process group of its own: npx passes no signal on to what it runs.
setsid npx --yes --offline ./nearside-*.tgz demo --json --port 0 >urls.json 2>log &
while [ ! -s urls.json ]; do sleep 0.1; done
git clone --quiet "$(sed 's/.*"cloneUrl":"\([^"]*\)".*/\1/' urls.json)" clone
ended=$(date +%s.%N)
kill -s TERM -- -$!
wait
awk "BEGIN { print \"$(stat -c %s nearside-*.tgz) bytes, $(git -C clone rev-list --count HEAD) commits cloned after\", $ended - $started, \"s\" }"
END
chroot "$root" /bin/sh "${work#"$root"}/try.sh"
