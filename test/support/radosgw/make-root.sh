#!/bin/bash
# make-root.sh ROOT: makes a Debian sid root with Ceph's S3 gateway and git in it, about 1.3 GB in 2 minutes. Does nothing when it is there.
# Debian stable's gateway has no conditional writes as S3 has them; sid's (Ceph 20) has. And sid has the newest git. Needs root and Debian packages only.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
[ $# = 1 ] || { echo "usage: make-root.sh ROOT" >&2; exit 2; }
[ ! -e "$1/usr/bin/radosgw" ] || [ ! -e "$1/usr/bin/git-upload-pack" ] || exit 0

root=$(readlink -f "$(dirname "$1")")/$(basename "$1")
unfinished=$root.unfinished-$$
[ ! -e "$root" ] || { echo "make-root: $root is there, but not whole: remove it" >&2; exit 1; }
trap 'rm -rf --one-file-system "$unfinished"' EXIT
log() { echo "make-root: $*" >&2; }

if ! command -v debootstrap >/dev/null; then
  log "installing debootstrap"
  { apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get -qy install --no-install-recommends debootstrap; } >&2
fi
log "debootstrap sid"
debootstrap --variant=minbase --include=ca-certificates,git sid "$unfinished" >"$root.log" 2>&1 || { tail "$root.log" >&2; exit 1; }
# There is no init in the root: packages must not start services.
printf '#!/bin/sh\nexit 101\n' >"$unfinished/usr/sbin/policy-rc.d"
chmod +x "$unfinished/usr/sbin/policy-rc.d"
ln -sf /bin/true "$unfinished/usr/bin/deb-systemd-invoke"
log "installing Ceph"
"$here/in-root.sh" "$unfinished" "" sh -c 'export DEBIAN_FRONTEND=noninteractive
  # The mirrors of sid may lag behind the date that its index is good for.
  apt-get -o Acquire::Check-Valid-Until=false update && apt-get install -y --no-install-recommends radosgw ceph-mon ceph-osd ceph-common uuid-runtime curl && apt-get clean' \
  >>"$root.log" 2>&1 || { tail "$root.log" >&2; exit 1; }
# The last step, so that a root under its own name is whole.
mv -T "$unfinished" "$root"
log "$("$here/in-root.sh" "$root" "" ceph --version)"
