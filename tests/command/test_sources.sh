#!/bin/sh
# test_sources.sh: several sources of inputs: ::: ::: :::: :::+ -a; the same as GNU
# parallel's, where that is installed.
. "$(dirname "$0")/lib.sh"
parallel=$(parallel --version 2>/dev/null | grep -q '^GNU parallel' && echo parallel)
PARALLEL_HOME=$scratch
export PARALLEL_HOME
: >will-cite

printf 'x\ny\n' >two
printf '1\n2\n3\n' >three
: >empty

# sources EXPECTED COMMAND SOURCE...
sources() {
    expected=$1
    command=$2
    shift 2
    same "$command $*" "$expected" "$(m -k -- "$command" "$@" <three | tr '\n' ';')"
    [ "$parallel" ] || return
    same "parallel $command $*" "$expected" \
        "$(parallel -k "$command" "$@" <three | tr '\n' ';')"
}

for model in serial processes:2; do
    sources '1 a;2 a;1 b;2 b;' 'echo {2} {1}' ::: a b ::: 1 2
    sources 'x 1;x 2;x 3;y 1;y 2;y 3;' 'echo' :::: two three
    sources 'a x;a y;b x;b y;' 'echo' ::: a b :::: two
    sources 'x a 1;x b 2;x c 3;y a 1;y b 2;y c 3;' 'echo' :::: two ::: a b c d ::::+ three
    sources 'a 1 X;a 1 Y;b 2 X;b 2 Y;' 'echo {}' ::: a b c :::+ 1 2 ::: X Y
    sources 'a 1;a 2;a 3;b 1;b 2;b 3;' 'echo' ::: a b :::: -
    sources '1 a;1 b;2 a;2 b;3 a;3 b;' 'echo' :::: - ::: a b
    # nothing beside something is an empty value; nothing at all is nothing
    sources '[] a;[] b;' 'echo [{1}] {2}' :::: empty ::: a b
    sources 'a [];b [];' 'echo {1} [{2}]' ::: a b :::
    sources 'a [];' 'echo {1} [{2}]' ::: a b :::+
    sources '' 'echo' ::: :::: empty
done

# a function gets them with tabs between, under every model
for model in $MODELS; do
    same 'what a function gets' 'a	1;a	2;b	1;b	2;' "$(m -k work.c:echo ::: a b ::: 1 2 | tr '\n' ';')"
    same '-a twice' 6 "$(m -a two -a three work.c:size | wc -l)"
    same '-a and :::' 'x	1;y	1;' "$(m -k -a two work.c:echo ::: 1 | tr '\n' ';')"
    same '--reduce' 12 "$(m --reduce add work.c:size ::: a b ::: 1 2)"
    same '{2} in a name' '1/a 1/b 2/a 2/b ' "$(rm -rf out && m --results 'out/{2}/{1}' work.c:echo ::: a b ::: 1 2 &&
        cd out && find . -type f ! -name '*.*' | sort | sed 's|./||' | tr '\n' ' ')"
done

# words with blanks, logs, tags
model=processes:1
same 'words as they are' '[a b][c]' "$(m -- printf '[%s]' ::: 'a b' ::: c)"
same '--dry-run' "echo b 'a a';" "$(m --dry-run -- echo '{2}' '{1}' ::: 'a a' ::: b | tr '\n' ';')"
same '--dry-run of a function' "work.c:echo 'a	b'" "$(m --dry-run work.c:echo ::: a ::: b)"
same '--tag' 'a 1	1 a' "$(m --tag -- 'echo {2} {1}' ::: a ::: 1)"
same '--json' '"a 1"' "$(m --json work.c:echo ::: a ::: 1 | sed 's/.*"input":\([^,]*\),.*/\1/')"
m -k --joblog log -- echo ::: a b ::: c >/dev/null
same 'its record' 'echo a c;echo b c;' "$(tail -n +2 log | cut -f9 | tr '\n' ';')"
head -n 2 log >half && mv half log
same '--resume' 'b c' "$(m --resume --joblog log -- echo ::: a b ::: c)"

# shares of all of them; a pipe as the first source is counted, then read again
same 'a share of all' 'x 0;x 1;' "$(m -k --halt soon,fail=25% -- 'echo {}; exit {2}' ::: x y ::: 0 1 | tr '\n' ';')"
same 'of a pipe' 'x 0;x 1;y 0;y 1;' "$(m -k --halt soon,fail=50% -- 'echo {}; exit {2}' :::: - ::: 0 1 <two | tr '\n' ';')"

# the first source is worked on as it arrives
mkfifo pipe seen
m -k -- 'echo {2}{1}' :::: pipe ::: a b >seen &
exec 4<seen
exec 3>pipe
echo 1 >&3
read -r first <&4
read -r second <&4
same 'before the next comes' 'a1 b1' "$first $second"
echo 2 >&3
exec 3>&-
same 'and then the rest' 'a2;b2;' "$(tr '\n' ';' <&4)"
exec 4<&-
wait $!
rm pipe seen
mkfifo pipe

# compare reads standard input under every model
has 'compare' '^serial ' "$(printf '1\n2\n' | "$MUSTER" compare --rounds 1 --models serial,threads:2 \
    work.c:echo ::: a b :::: - 2>&1)"
has 'two that can be read once' 'can be read once' "$(printf '1\n' | "$MUSTER" compare --rounds 1 --models serial \
    work.c:echo :::: - pipe 2>&1)"

[ "$parallel" ] || finish
plain() {
    sed -E 's/[0-9]{10}\.[0-9]{3}/T/; s/([,	]|: )[0-9]+\.[0-9]{3}([,	])/\1R\2/' "$1"
}
for form in t.csv t.tsv t.json; do
    parallel -k --results "$form" echo ::: 'a b' c ::: 'd,"' >/dev/null 2>&1
    plain "$form" >expected
    m -k --results "$form" -- 'echo {}' ::: 'a b' c ::: 'd,"'
    plain "$form" >got
    same_files "$form" expected got
    printf 'a,b\nc,d,e\n' | parallel -k --colsep , --results "$form" echo >/dev/null 2>&1
    plain "$form" >expected
    printf 'a,b\nc,d,e\n' | m -k --colsep , --results "$form" -- 'echo {}'
    plain "$form" >got
    same_files "$form with --colsep" expected got
done

# tree WHAT: both wrote the same files; one job at a time, for with o_{2}/ two inputs
# write the same ones, and those of the last one stay
tree() {
    same "$1" '' "$(diff -r expected.dir got.dir 2>&1)"
    rm -rf expected.dir got.dir
}
for name in out 'o_{2}/' 'o_{2/.}.{1}' 'o/{#}_{}'; do
    parallel -j 1 --results "expected.dir/$name" echo ::: 'a b' c.d ::: 'x\y' z.c >/dev/null 2>&1
    m --results "got.dir/$name" -- 'echo {}' ::: 'a b' c.d ::: 'x\y' z.c
    tree "--results $name"
done
parallel --results expected.dir -n 2 echo ::: 1 2 3 >/dev/null 2>&1
m --results got.dir -n 2 -- 'echo {}' ::: 1 2 3
tree '--results with -n'
finish
