#!/bin/sh
# test_sha256.sh BUILD-FOLDER SOURCE-FOLDER: what sha256sum prints, under each model.
set -eu
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export LC_ALL=C XDG_CACHE_HOME="$scratch/cache"
find /usr/include -maxdepth 1 -name '*.h' >"$scratch/inputs"
xargs sha256sum <"$scratch/inputs" >"$scratch/expected"
for model in serial threads processes processes/threads; do
    "$MUSTER" map --quiet -k --model $model "$2/sha256.c:sum" \
        <"$scratch/inputs" >"$scratch/got"
    cmp "$scratch/expected" "$scratch/got" || { echo "FAILED: $model"; exit 1; }
    "$MUSTER" map --quiet -k --model $model --each file "$2/sha256.c:digest" \
        -a "$scratch/inputs" | paste -d ' ' - "$scratch/inputs" |
        sed 's/ /  /' | cmp "$scratch/expected" - || { echo "FAILED: $model, contents"; exit 1; }
done
