#!/bin/sh
# test_thumbnails.sh BUILD-FOLDER SOURCE-FOLDER: each damage ends its own task alone.
set -eu
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
# 50 images: 10 are damaged, each way twice
"$1/specimens" "$scratch/images" $(find /usr/include -maxdepth 1 -name '*.h' | sort | head -50)
"$1/thumbnails" "$scratch/images" "$scratch/sheet.png" >"$scratch/report" ||
    { cat "$scratch/report"; exit 1; }
cat "$scratch/report"
for line in '40 done  6 failed  2 crashed  2 timed out' '004-truncated.png: failed' \
    '009-wild-offset.jpg: crashed: SIGSEGV' '014-endless.jpg: timed out' \
    '019-bomb.png: failed: too large for the memory' '024-noise.png: failed'; do
    grep -q "$line" "$scratch/report" || { echo "FAILED: no '$line'"; exit 1; }
done
[ -s "$scratch/sheet.png" ]
