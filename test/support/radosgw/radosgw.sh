#!/bin/bash
# radosgw.sh start ROOT DATA | stop ROOT DATA
# start: runs an S3 gateway out of a root made by make-root.sh, its state in the new folder DATA, and prints the settings that
# the contract tests read, as shell assignments. stop: ends it and removes DATA.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
[ $# = 3 ] || { echo "usage: radosgw.sh start|stop ROOT DATA" >&2; exit 2; }
root=$(readlink -f "$2")
[ -e "$root/usr/bin/radosgw" ] || { echo "radosgw.sh: $2 is not a root made by make-root.sh" >&2; exit 1; }

in_cluster() { # COMMAND ARGUMENTS...
  install -m 755 "$here/cluster.sh" "$data/cluster.sh"
  "$here/in-root.sh" "$root" "$data" /srv/data/cluster.sh "$@" </dev/null
}
free_ports() {
  node -e 'const servers = [0, 0].map(() => require("node:net").createServer());
    Promise.all(servers.map((server) => new Promise((done) => server.listen(0, "127.0.0.1", done)))).then(() => {
      console.log(servers.map((server) => server.address().port).join(" "));
      for (const server of servers) server.close();
    });'
}
secret() { head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n'; }

start() {
  local gateway_port monitor_port access_key secret_key
  access_key=$(secret) secret_key=$(secret)
  for _ in 1 2; do # now and then a first start fails
    mkdir -p "$data"
    read -r gateway_port monitor_port < <(free_ports)
    if in_cluster start "$gateway_port" "$monitor_port" "$access_key" "$secret_key" contract >"$data/start.log" 2>&1; then
      cat <<SETTINGS
export NEARSIDE_TEST_S3_ENDPOINT=http://127.0.0.1:$gateway_port
export NEARSIDE_TEST_S3_BUCKET=contract
export NEARSIDE_TEST_S3_ACCESS_KEY_ID=$access_key
export NEARSIDE_TEST_S3_SECRET_ACCESS_KEY=$secret_key
SETTINGS
      return
    fi
    tail -20 "$data/start.log" >&2
    stop
  done
  exit 1
}
stop() {
  [ -d "$data" ] || return 0
  in_cluster stop
  rm -rf --one-file-system "$data"
}

data=$(readlink -m "$3")
case $1 in
start) start ;;
stop) stop ;;
*) exit 2 ;;
esac
