#!/bin/sh
# test_wordcount.sh BUILD-FOLDER SOURCE-FOLDER: the same words as tr, sort and uniq
# find, under every model; and a crash takes its own input alone.
set -eu
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export LC_ALL=C XDG_CACHE_HOME="$scratch/cache"
find /usr/include -maxdepth 1 -name '*.h' | sort >"$scratch/inputs"
xargs cat <"$scratch/inputs" | tr A-Z a-z | tr -cs a-z '\n' | sort | uniq -c |
    awk 'NF == 2 {print $2 "\t" $1}' >"$scratch/expected"

for model in serial threads processes processes/threads; do
    "$MUSTER" map --quiet --model $model --each file --reduce merge \
        -a "$scratch/inputs" "$2/wordcount.c:count" >"$scratch/got"
    cmp "$scratch/expected" "$scratch/got" || { echo "FAILED: $model"; exit 1; }
done

# what is packed counts as if it were not, also in two parts; what is broken has failed
while read -r input; do
    { head -c 1000 "$input" | gzip -c; tail -c +1001 "$input" | gzip -c; } \
        >"$scratch/$(basename "$input").gz"
done <"$scratch/inputs"
"$MUSTER" map --quiet --each file --reduce merge "$2/wordcount.c:count" ::: "$scratch"/*.gz \
    >"$scratch/got"
cmp "$scratch/expected" "$scratch/got" || { echo "FAILED: packed"; exit 1; }
head -c 100 "$scratch/stdio.h.gz" >"$scratch/torn"
status=0
"$MUSTER" map --quiet --each file "$2/wordcount.c:count" ::: "$scratch/torn" || status=$?
[ "$status" = 1 ] || { echo "FAILED: torn"; exit 1; }

printf '#crash\n' >"$scratch/bad"
{ head -20 "$scratch/inputs"; echo "$scratch/bad"; tail -n +21 "$scratch/inputs"; } >"$scratch/inputs+1"
"$MUSTER" map --each file --reduce merge -a "$scratch/inputs+1" \
    "$2/wordcount.c:count_or_crash" >"$scratch/got" 2>"$scratch/errors" &&
    { echo 'FAILED: the crash was not told'; exit 1; }
cat "$scratch/errors"
grep -q "'$scratch/bad', crashed: SIGSEGV .*wordcount.c" "$scratch/errors"
grep -q ' 1 crashed' "$scratch/errors"
cmp "$scratch/expected" "$scratch/got"
