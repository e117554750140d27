#!/bin/sh
# test_pipeline.sh BUILD-FOLDER SOURCE-FOLDER: the same counts as tr, sort and uniq,
# over every transport, with threads and with processes.
set -eu
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export LC_ALL=C
cat /usr/include/std*.h "$2"/*.c >"$scratch/text"
tr A-Z a-z <"$scratch/text" | tr -cs a-z '\n' | sort | uniq -c |
    awk 'NF == 2' | sort -k1,1nr -k2,2 | head -10 |
    awk '{printf "%7d %s\n", $1, $2}' >"$scratch/expected"
for transport in mem shm pipe unix tcp mq file; do
    for kind in threads processes; do
        [ "$transport $kind" = "mem processes" ] && continue
        "$1/pipeline" "$transport" "$kind" "$scratch/text" >"$scratch/got"
        cmp "$scratch/expected" "$scratch/got" ||
            { echo "FAILED: $transport $kind"; exit 1; }
    done
done
"$1/pipeline" --table "$scratch/text"
