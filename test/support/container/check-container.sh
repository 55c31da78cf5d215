#!/bin/bash
# check-container.sh WORK: builds the Dockerfile with buildah, over a small Debian root with Node, and runs the image: as another user, with
# its root read-only to it, asked for its health, and stopped by a signal. Checks docs/nearside.service too. Needs root on Debian, buildah,
# debootstrap and systemd. About 2 minutes.
set -euo pipefail
project=$(readlink -f "$(dirname "$(readlink -f "$0")")/../../..")
[ $# = 1 ] || { echo "usage: check-container.sh WORK" >&2; exit 2; }
mkdir -p "$1"
work=$(readlink -f "$1")
export STORAGE_DRIVER=vfs BUILDAH_ISOLATION=chroot
export CONTAINERS_STORAGE_CONF=$work/storage.conf
printf '[storage]\ndriver = "vfs"\ngraphroot = "%s"\nrunroot = "%s"\n' "$work/graph" "$work/run" >"$work/storage.conf"
log() { echo "container: $* ($SECONDS s)" >&2; }
fail() { echo "container: $*" >&2; exit 1; }

server=0
container=
port=
# The process in the container: buildah itself passes no signal on.
inside() {
  local pid
  for pid in $(pgrep -f "nearside.mjs serve --host 127.0.0.1 --port $port"); do
    case $(readlink "/proc/$pid/exe") in */node) echo "$pid" ;; esac
  done
}
finish() {
  # shellcheck disable=SC2046
  [ "$server" = 0 ] || kill -KILL $(inside) "$server" 2>/dev/null || true
  [ -z "$container" ] || buildah rm "$container" >/dev/null || true
}
trap finish EXIT

# What Docker's official image of Node has: Debian, Node and npm. Registries of images may be out of reach.
make_base() {
  local root=$work/base
  rm -rf --one-file-system "$root"
  debootstrap --variant=minbase --include=ca-certificates "$(. /etc/os-release && echo "$VERSION_CODENAME")" "$root" >"$work/debootstrap.log" 2>&1 ||
    { tail "$work/debootstrap.log" >&2; return 1; }
  install -D "$("$project/node_modules/.bin/node" -p process.execPath)" "$root/usr/local/bin/node"
  mkdir -p "$root/usr/local/lib/node_modules"
  cp -r "$(npm root --global)/npm" "$root/usr/local/lib/node_modules/npm"
  ln -s ../lib/node_modules/npm/bin/npm-cli.js "$root/usr/local/bin/npm"
  rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/archives/*.deb
  local container
  container=$(buildah from scratch)
  buildah add -q "$container" "$root" / >/dev/null
  buildah commit -q "$container" localhost/node-base >/dev/null
  buildah rm "$container" >/dev/null
  rm -rf --one-file-system "$root"
}

said=$(systemd-analyze verify "$project/docs/nearside.service" 2>&1) || true
[ -z "$said" ] || fail "docs/nearside.service: $said"

if ! buildah inspect --type image localhost/node-base >/dev/null 2>&1; then
  log "base"
  make_base
fi
log "build"
# The packages that are installed here, as this check is not about npm.
buildah bud --layers=false --format docker --pull-never --build-arg NODE_IMAGE=localhost/node-base \
  --build-arg INSTALL=true --volume "$project/node_modules:/source/node_modules:ro" \
  -t localhost/nearside "$project" >"$work/build.log" 2>&1 || { tail -30 "$work/build.log" >&2; exit 1; }

log "run"
container=$(buildah from --pull-never localhost/nearside)
config=$(buildah inspect --type image localhost/nearside |
  node -p 'JSON.stringify(JSON.parse(require("node:fs").readFileSync(0, "utf8")).Docker.config)')
node -e '
  const config = JSON.parse(process.argv[1]);
  const expect = (what, is) => { if (!is) throw new Error(`the image ${what}`); };
  expect("runs as root", config.User === "1000:1000");
  expect("has no exec form", config.Entrypoint[0] === "node" && Array.isArray(config.Cmd));
  expect("has no health check", config.Healthcheck?.Test?.[0] === "CMD");
  expect("has no volumes", "/data" in config.Volumes && "/tmp" in config.Volumes);' "$config"
health=$(node -p 'JSON.stringify(JSON.parse(process.argv[1]).Healthcheck.Test.slice(1))' "$config")
port=$(node -e 'const s = require("node:net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); })')

# Nothing in the root belongs to the user but the volume.
# It says that it may not look into some folders, and fails.
owned=$({ buildah run "$container" find / -xdev -user 1000 -not -path "/proc/*" -not -path "/data*" 2>/dev/null || true; } | head -3)
[ -z "$owned" ] || fail "the user can write to $owned"
[ "$(buildah run "$container" id -u)" = 1000 ] || fail "it does not run as 1000"

start() {
  buildah run "$container" node /opt/nearside/cli/nearside.mjs serve --host 127.0.0.1 --port "$port" --store /data "$@" >"$work/server.log" 2>&1 &
  server=$!
}
ask_health() {
  buildah run "$container" $(node -p 'JSON.parse(process.argv[1])[0]' "$health") -e \
    "$(node -p 'JSON.parse(process.argv[1])[2]' "$health" | sed "s/7880/$port/")"
}
start --workspace acme --git-url http://127.0.0.1:1 --api-url http://127.0.0.1:1
for _ in $(seq 60); do
  if ask_health; then break; fi
  kill -0 "$server" 2>/dev/null || { cat "$work/server.log" >&2; fail "it ended"; }
  sleep 1
done
ask_health || { cat "$work/server.log" >&2; fail "its health check fails"; }
! buildah run "$container" touch /opt/nearside/x 2>/dev/null || fail "it can write to its own code"

log "stop"
# shellcheck disable=SC2046
kill -TERM $(inside)
status=0
wait "$server" || status=$?
server=0
[ "$status" = 0 ] || { cat "$work/server.log" >&2; fail "SIGTERM ends it with $status"; }
size=$(buildah images --format '{{.Size}}' localhost/nearside)
base=$(buildah images --format '{{.Size}}' localhost/node-base)
log "good: $size, of that $base the base"
