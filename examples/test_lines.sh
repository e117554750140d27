#!/bin/sh
# test_lines.sh BUILD-FOLDER: as many lines as wc finds, under each model.
set -eu
files=$(find /usr/include -maxdepth 1 -name '*.h' | sort)
expected=$(wc -l $files | sed '$d' | awk '{print $1, $2}' | sort)
for model in serial threads processes:2 processes:2/threads:2; do
    got=$("$1/lines" $model $files | awk '{print $1, $2}' | sort)
    [ "$got" = "$expected" ] || { echo "FAILED: $model"; exit 1; }
done
