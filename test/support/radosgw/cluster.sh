#!/bin/bash
# cluster.sh start GATEWAY_PORT MONITOR_PORT ACCESS_KEY SECRET_KEY BUCKET | stop
# Runs inside the root: one Ceph monitor, one OSD on a sparse file, one S3 gateway, all on 127.0.0.1, all under /srv/data.
set -euo pipefail
cd / # Debian's Ceph has relative plugin paths
data=/srv/data
export CEPH_CONF=$data/ceph.conf CEPH_ARGS=

write_config() { # GATEWAY_PORT MONITOR_PORT FSID
  cat >"$CEPH_CONF" <<CONF
[global]
fsid = $3
mon host = v1:127.0.0.1:$2
public addr = 127.0.0.1
cluster addr = 127.0.0.1
public network = 127.0.0.0/8
ms bind msgr2 = false
auth cluster required = none
auth service required = none
auth client required = none
osd pool default size = 1
osd pool default min size = 1
mon allow pool size one = true
osd pool default pg num = 8
osd pool default pgp num = 8
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon max pg per osd = 1000
mon data avail crit = 1
mon data avail warn = 2
osd memory target = 1073741824
osd memory target autotune = false
osd objectstore = bluestore
osd class dir = $(echo /usr/lib/*/rados-classes)
bluestore block size = 20G
run dir = $data/run
admin socket = $data/run/\$cluster-\$name.\$pid.asok
pid file = $data/run/\$name.pid
log file = $data/log/\$name.log
crash dir = $data/run
mon data = $data/mon
osd data = $data/osd
rgw data = $data/rgw
[client.rgw]
rgw frontends = beast endpoint=127.0.0.1:$1
rgw enable usage log = false
rgw enable ops log = false
CONF
}

retry() { # SECONDS COMMAND...
  local deadline=$((SECONDS + $1)); shift
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$deadline" ] || { echo "gave up on: $*" >&2; return 1; }
    sleep 0.3
  done
}

osd_is_up() { ceph --connect-timeout 10 osd stat | grep -q '1 up'; }

start() {
  local gateway_port=$1 monitor_port=$2 access_key=$3 secret_key=$4 bucket=$5 fsid osd
  local url=http://127.0.0.1:$gateway_port
  mkdir -p $data/{run,log,mon,osd,rgw}
  fsid=$(uuidgen)
  osd=$(uuidgen)
  write_config "$gateway_port" "$monitor_port" "$fsid"
  monmaptool --create --clobber --addv a "v1:127.0.0.1:$monitor_port" --fsid "$fsid" $data/monmap
  ceph-mon --mkfs -i a --monmap $data/monmap
  ceph-mon -i a
  ceph --connect-timeout 30 osd new "$osd"
  ceph-osd -i 0 --mkfs --osd-uuid "$osd"
  ceph osd crush add osd.0 1 root=default host=localhost
  ceph-osd -i 0
  retry 60 osd_is_up
  radosgw -n client.rgw
  retry 120 curl -sf "$url/"
  radosgw-admin user create --uid=contract --display-name=contract --access-key="$access_key" --secret-key="$secret_key"
  retry 30 curl -sf --aws-sigv4 aws:amz:us-east-1:s3 --user "$access_key:$secret_key" -X PUT "$url/$bucket"
}

stop() { # gateway, then OSD, then monitor; each asked, waited for, then killed
  local name pid
  for name in client.rgw osd.0 mon.a; do
    [ -s "$data/run/$name.pid" ] || continue
    pid=$(cat "$data/run/$name.pid")
    kill "$pid" 2>/dev/null || continue
    for _ in $(seq 30); do
      [ -d "/proc/$pid" ] && ! grep -q '^State:.*Z' "/proc/$pid/status" 2>/dev/null || break
      sleep 0.2
    done
    kill -9 "$pid" 2>/dev/null || true
  done
}

command=$1
shift
case $command in
start) start "$@" ;;
stop) stop ;;
*) exit 2 ;;
esac
