#!/bin/sh
# test_options.sh: what the other options do.
. "$(dirname "$0")/lib.sh"

for model in $MODELS; do
    same '--tag' 'a	a b	b ' "$(m -k --tag work.c:echo ::: a b | tr '\n' ' ')"
    same '--reduce' 500500 "$(seq 1000 | m --reduce add work.c:echo)"
    same '--reduce keeps the order' 'a b c d e f ' \
        "$(m --reduce join work.c:echo ::: a b c d e f | tr '\n' ' ')"
    same '--reduce of nothing' '' "$(m --reduce add work.c:echo </dev/null)"
    same '--reduce of one' '7' "$(m --reduce add work.c:echo ::: 7)"
    seq 100 | m --joblog log --reduce add work.c:echo >/dev/null
    same 'records of --reduce' 101 "$(wc -l <log)"
    same '--reduce --halt soon' 3 \
        "$(m --halt soon,fail=1 --reduce join work.c:code ::: 3 >/dev/null; echo $?)"

    seq 2000 >many
    m --halt soon,done=5 -a many --joblog log --reduce join work.c:slower >got
    same '--reduce --halt soon starts no more' 1 \
        "$([ "$(wc -l <got)" -ge 5 ] && [ "$(wc -l <got)" -lt 1500 ] && echo 1)"
    same 'and combines all that ran' "$(tail -n +2 log | wc -l)" "$(wc -l <got)"
    # also when all inputs were taken before
    seq 1000 >many
    m --halt soon,done=5 -a many --reduce join work.c:slower >got
    same '--reduce --halt soon leaves what was taken' 1 \
        "$([ "$(wc -l <got)" -ge 5 ] && [ "$(wc -l <got)" -lt 950 ] && echo 1)"

    same '--dry-run' "work.c:echo 'a b'
work.c:echo c" "$(m --dry-run --joblog never work.c:echo ::: 'a b' c)"
    same '--dry-run writes no log' 1 "$([ -e never ] || echo 1)"
    shown=$(m --bar --progress --eta work.c:echo ::: a b 2>&1 >/dev/null | tr '\r' '\n')
    has '--bar' '^100% \[#+\] .*0 running, 2/2 done' "$shown"
    shown=$(seq 3 | m --progress work.c:echo 2>&1 >/dev/null | tr '\r' '\n')
    has '--progress' '^0 running, 3/3 done, ' "$shown"
    shown=$(m --eta work.c:echo ::: a b 2>&1 >/dev/null | tr '\r' '\n')
    has '--eta' '2/2 done, .*/s, 0s left' "$shown"
    same '--json' '{"seq":1,"input":"a","status":"done","code":0,"signal":0,"attempts":1,' \
        "$(m --json work.c:echo ::: a | sed 's/"worker.*//')"
    has 'its output' '"output":"a\\u000a"\}$' "$(m --json work.c:echo ::: a)"
    report=$("$MUSTER" map --model "$model" work.c:echo ::: a b 2>&1 >/dev/null)
    has 'the report' '^muster: 2 done in [0-9.]+ s, [0-9.,]+ a second, ' "$report"
done

model=threads:2
# on_terminal COLUMNS OPTION...: what a terminal gets, a line each time it is drawn
on_terminal() {
    columns=$1
    shift
    seq 200 >in
    SHELL=/bin/sh script -qec "stty cols $columns; '$MUSTER' map --quiet --model $model $* -a in work.c:slow >/dev/null" \
        /dev/null </dev/null | tr '\r' '\n' | grep .
}
if command -v script >/dev/null; then
    on_terminal 80 --progress >drawn
    same 'drawn more than once' 1 "$([ "$(wc -l <drawn)" -gt 1 ] && echo 1)"
    most=$(sed -n 's/^\([0-9]*\) running.*/\1/p' drawn | sort -n | tail -n 1)
    same 'no more run than there are workers' 1 "$([ "$most" -le 2 ] && echo 1)"
    for columns in 200 80 60 50 30 12 2; do
        on_terminal $columns --bar --progress --eta >drawn
        same "no line is wider than $columns" '' "$(awk -v n=$columns 'length($0) >= n' drawn)"
    done
    has 'the bar gives way to the text' '^100% 0 running, 200/200 done' "$(on_terminal 50 --bar --progress | tail -n 1)"
    has 'and is there where it can be' '^100% \[#{5,40}\] 200/200 done, .*/s, 0s left' "$(on_terminal 60 --bar | tail -n 1)"
fi
same 'elsewhere lines are lines' '' "$(m --bar --progress work.c:echo ::: a 2>&1 >/dev/null | tr -d '[ -~\n]')"

report=$("$MUSTER" map --model threads -j 3 work.c:echo ::: a 2>&1 >/dev/null)
has '-j' 'threads:3$' "$report"
report=$("$MUSTER" map -kj2 --model=threads work.c:echo ::: a 2>&1 >/dev/null)
has 'letters together' 'threads:2$' "$report"
report=$("$MUSTER" map work.c:echo -P 2 --model threads ::: a 2>&1 >/dev/null)
has 'options behind WORK' 'threads:2$' "$report"
report=$("$MUSTER" map --model threads -j 0 work.c:echo ::: a b c 2>&1 >/dev/null)
has '-j 0' 'threads:3$' "$report"
mkdir five
for i in 1 2 3 4 5; do
    echo $i >five/$i
done
report=$("$MUSTER" map --model threads -j 0 --each file work.c:size ::: five work.c 2>&1 >/dev/null)
has '-j 0 counts files' 'threads:6$' "$report"
mkdir more
(cd more && seq 300 | xargs touch)
report=$("$MUSTER" map --model threads -j 0 --bar --halt soon,done=1 --each file work.c:size \
    ::: more 2>&1 >/dev/null)
has 'with --bar, too' '[0-9]/300 done' "$report"
has 'up to 256' 'threads:256$' "$report"
report=$("$MUSTER" map --model threads -j 0 --each record=1 work.c:size ::: five 2>&1 >/dev/null)
has '-j 0 does not count names of what is cut' 'threads:256$' "$report"
report=$("$MUSTER" map --model threads -j 0 -n 2 -- echo ::: a b c 2>&1 >/dev/null)
has '-j 0 counts what is one input' 'threads:2$' "$report"

for page in '--help' 'map --help' 'compare --help'; do
    # shellcheck disable=SC2086
    "$MUSTER" $page >page
    same "status of $page" 0 $?
    same "lines of $page" 1 "$([ "$(wc -l <page)" -le 24 ] && echo 1)"
    same "columns of $page" '' "$(grep -E '.{81}' page)"
done
has '--version' '^muster [0-9]+\.[0-9]+\.[0-9]+$' "$("$MUSTER" --version)"
finish
