#!/bin/sh
# httpd.sh HTTPD: requests a second of examples/httpd.c beside nginx, on the same files,
# by wrk, in turns. Everything stays on the loopback and ends with this script.
set -eu
for tool in wrk nginx; do
    command -v $tool >/dev/null || { echo "skipped: no $tool: install it"; exit 0; }
done
scratch=$(mktemp -d)
pids=
trap 'for p in $pids; do kill $p 2>/dev/null || true; done; rm -rf "$scratch"' EXIT
chmod 755 "$scratch" # nginx's workers are another user
mkdir "$scratch/www"
head -c 1024 /dev/zero | tr '\0' x >"$scratch/www/small"
head -c 65536 /dev/zero | tr '\0' x >"$scratch/www/large"
n=$(nproc)
cat >"$scratch/nginx.conf" <<CONF
worker_processes $n;
pid $scratch/nginx.pid;
error_log $scratch/error.log;
daemon off;
events { worker_connections 1024; }
http {
    access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000;
    server { listen 127.0.0.1:18080; root $scratch/www; }
}
CONF
nginx -p "$scratch" -c "$scratch/nginx.conf" &
pids="$pids $!"
until [ -s "$scratch/nginx.pid" ]; do kill -0 $! || exit 1; done # it listens then
mkfifo "$scratch/said"
names="nginx"
ports="18080"
for kind in threads processes both; do
    "$1" "$scratch/www" 0 $kind "$n" >"$scratch/said" &
    pids="$pids $!"
    read -r line <"$scratch/said"
    names="$names httpd-$kind"
    ports="$ports ${line##*:}"
done
for file in small large; do
    for round in 1 2 3 4 5; do
        for port in $ports; do
            wrk -t 2 -c 64 -d 1s "http://127.0.0.1:$port/$file" |
                awk -v port=$port '/Requests\/sec/ {print port, $2}' >>"$scratch/$file"
        done
    done
    echo "GET /$file, requests a second, median of 5:"
    set -- $names
    for port in $ports; do
        awk -v port=$port '$1 == port {print $2}' "$scratch/$file" | sort -g |
            awk -v name="$1" '{v[NR] = $1} END {printf "  %-16s %10.0f\n", name, v[int((NR + 1) / 2)]}'
        shift
    done
done
