#!/bin/sh
# demo.sh BUILD-FOLDER: the main job on files that every machine has, and the same
# with a task that crashes on purpose.
set -eu
build=$1
muster=$build/cli/muster
demo=$build/demo
examples=$(dirname "$0")/../examples
export LC_ALL=C
mkdir -p "$demo"

# A bar where somebody watches.
bar=--bar
[ -t 2 ] || bar=--progress

# Every one of them: those that are links too, and those packed by gzip, which the task
# unpacks.
{
    find -L /usr/include -name '*.h' -type f
    find -L /usr/share/doc -type f
} 2>/dev/null | sort >"$demo/inputs"
echo "$(grep -c '^/usr/include' "$demo/inputs") C headers below /usr/include," \
    "$(grep -c '^/usr/share/doc' "$demo/inputs") documents below /usr/share/doc" \
    "($(grep -c '\.gz$' "$demo/inputs") of them packed)"

run() { # FUNCTION INPUTS RESULT
    echo "\$ muster map --model processes $bar --each file --reduce merge" \
        "-a $2 examples/wordcount.c:$1 >$3"
    "$muster" map --model processes $bar --each file --reduce merge -a "$2" \
        "$examples/wordcount.c:$1" >"$3"
}

echo
echo '== 1. Count their words, one task a file, in isolated processes'
run count "$demo/inputs" "$demo/words"
echo
echo "$(wc -l <"$demo/words") different words; the most frequent:"
sort -t "$(printf '\t')" -k 2,2nr -k 1,1 "$demo/words" | head -n 10 |
    awk -F '\t' '{printf "%10d  %s\n", $2, $1}'

echo
echo '== 2. The same, with one file more, on which the task crashes on purpose'
printf '#crash: the function follows a null pointer when a file begins so\n' >"$demo/bad.txt"
half=$(($(wc -l <"$demo/inputs") / 2))
{
    head -n "$half" "$demo/inputs"
    echo "$demo/bad.txt"
    tail -n +"$((half + 1))" "$demo/inputs"
} >"$demo/inputs-and-bad"
status=0
run count_or_crash "$demo/inputs-and-bad" "$demo/words-despite" || status=$?
echo "exit status $status: so many tasks failed"
if [ "$status" = 1 ] && cmp -s "$demo/words" "$demo/words-despite"; then
    echo 'Only that input was lost: the words of all the others are the same as before.'
else
    echo 'The second run should have lost that input and nothing else; it did not.' >&2
    exit 1
fi
