#!/bin/sh
# test_browser.sh BUILD-FOLDER SOURCE-FOLDER: httpd serves, under each kind of worker,
# survives crashes and restarts without a lost page, and browser browses it.
set -eu
scratch=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null; rm -rf "$scratch"' EXIT
mkdir "$scratch/www"
echo '<h1>hello</h1>' >"$scratch/www/index.html"
echo '<crash>' >"$scratch/www/bad.html"
seq 1 30000 >"$scratch/www/long.txt"
fail() { echo "FAILED: $*"; cat "$scratch/got"; exit 1; }

# The FIFO holds this script until the server has said its port.
mkfifo "$scratch/said"
for kind in threads processes both; do
    "$1/httpd" "$scratch/www" 0 $kind 2 --crash >"$scratch/said" &
    server=$!
    exec 3<"$scratch/said"
    read -r line <&3
    port=${line##*:}
    cat <&3 >"$scratch/log" &
    reader=$!

    "$1/browser" threads "$port" / /nope /long.txt >"$scratch/got"
    grep -q '^/: hello' "$scratch/got" || fail "$kind: a page"
    grep -q '^/nope: not found' "$scratch/got" || fail "$kind: no page"
    [ "$(grep -c . "$scratch/got")" -ge 30000 ] || fail "$kind: a long page"

    "$1/browser" processes "$port" / /bad.html / /bad.html / >"$scratch/got"
    [ "$(grep -c '^/: hello' "$scratch/got")" = 3 ] || fail "$kind: going on"
    [ "$(grep -c 'renderer crashed' "$scratch/got")" = 2 ] || fail "$kind: crash"

    if [ $kind != threads ]; then
        "$1/browser" threads "$port" / /crash / /crash / >"$scratch/got"
        [ "$(grep -c '^/: hello' "$scratch/got")" = 3 ] || fail "$kind: a dead worker"
    fi
    kill -HUP $server
    "$1/browser" threads "$port" / / / / / / >"$scratch/got"
    [ "$(grep -c '^/: hello' "$scratch/got")" = 6 ] || fail "$kind: restart"
    kill $server
    wait $server || fail "$kind: the end"
    server=
    exec 3<&-
    # else it could take what the next server says
    wait $reader
done
