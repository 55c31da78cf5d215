#!/bin/bash
# in-root.sh ROOT DATA COMMAND...: runs a command in a Debian root that shares the host's /proc, /dev and network; DATA, if
# not empty, is its /srv/data. The mounts are in a private mount namespace: they vanish with the last process, so
# removing ROOT can never reach the host's folders.
set -euo pipefail
exec unshare --mount --propagation private bash -euo pipefail -c '
  root=$1 data=$2; shift 2
  mkdir -p "$root/proc" "$root/dev" "$root/srv/data"
  mount --rbind /proc "$root/proc"
  mount --rbind /dev "$root/dev"
  [ -z "$data" ] || mount --bind "$data" "$root/srv/data"
  cd /
  exec chroot "$root" env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 "$@"
' in-root "$@"
