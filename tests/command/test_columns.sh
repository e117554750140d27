#!/bin/sh
# test_columns.sh: --colsep, {2}, and --delay; the same as GNU parallel's, where that is
# installed.
. "$(dirname "$0")/lib.sh"
parallel=$(parallel --version 2>/dev/null | grep -q '^GNU parallel' && echo parallel)
model=processes:2

# cut EXPECTED COMMAND OPTION...: of the file "lines"
columns() {
    expected=$1
    command=$2
    shift 2
    same "$* -- $command" "$expected" "$(m -k "$@" -- "$command" <lines | tr '\t\n' '  ')"
    [ "$parallel" ] || return
    same "parallel $* '$command'" "$expected" \
        "$(parallel -k "$@" "$command" <lines | tr '\t\n' '  ')"
}

printf 'a,b\nc,d e\n' >lines
columns 'b a d e c ' 'echo {2} {1}' --colsep ,
columns 'a b c d e ' 'echo {}' -C ,
columns 'x a b x c d e ' 'echo x' --colsep ,
columns 'a b a c d e c ' 'echo {1}' --colsep , --tag
columns 'b: a d e: c ' 'echo {1}' --colsep , --tagstring '{2}:'
columns '[] [] ' 'echo [{3}]' --colsep ,
printf 'a/b.c\tx/y.z\n/q\t\n' >lines
columns 'b.c x/y x b 1 q  . q 2 ' 'echo {1/} {2.} {2//} {1/.} {#}' --colsep '\t'
printf 'a  b   c\nd e\n' >lines
columns 'b-c e- ' 'echo {2}-{3}' --colsep ' +'
columns 'b-c e- ' 'echo {2}-{3}' --colsep '\s+'
printf 'a|b\n' >lines
columns 'b-a ' 'echo {2}-{1}' --colsep '\|'
printf 'a\n\n \t\nb\n' >lines
columns '1a 2b ' 'echo {#}{}' -r
columns '1 2 3 4 ' 'echo {#}'
printf 'ab,c\n\nd,,e,\n' >lines
columns '1a-b-c 2-- 3d-e- ' 'echo {#}{1}-{2}-{3}' --colsep ',*'
columns '1ab,c- 2- 3d,,e,- ' 'echo {#}{1}-{2}' --colsep '^'
columns '1ab,c- 2- 3d,,e,- ' 'echo {#}{1}-{2}' --colsep 'x*$'
seq 5 >lines
columns '2-1 1 2 4-3 3 4 -5 5 ' 'echo {2}-{1} {}' -N 2
columns '1 3 4 ' 'echo {1} {3}' -n 3
printf 'a b,c\n' >lines
same 'words as they are' 'c|a b' "$(m --colsep , -- printf '%s|%s' '{2}' '{1}' <lines)"
same '{} is a word each' '[a b][c]' "$(m --colsep , -- printf '[%s]' '{}' <lines)"
same '--dry-run' "printf c 'a b'" "$(m --dry-run --colsep , -- printf '{2}' '{1}' <lines)"
m --joblog log --colsep , -- 'echo {2} {1}' <lines >/dev/null
same 'its record' "echo c 'a b'" "$(tail -n 1 log | cut -f9)"

# the second is not due for an hour: a signal finds one done. A pipe each: the first
# one's nursery can have its end of it open for a moment longer, and the second reader
# would find that alone
for what in 'work.c:echo' '-- echo'; do
    rm -f out
    mkfifo out
    # shellcheck disable=SC2086
    seq 2 | $HANG "$MUSTER" map --model "$model" --delay 1h $what >out 2>err &
    pid=$!
    exec 3<out
    read -r first <&3
    muster=$(cat /proc/$pid/task/$pid/children)
    kill -INT "${muster% }"
    wait $pid
    same "--delay, $what" '255 1' "$? $first"
    has "one was done of $what" '^muster: 1 done in' "$(tail -n 1 err)"
    exec 3<&-
done
same '--delay with --reduce' 6 "$(seq 3 | m --delay 0.01 --reduce add work.c:echo)"
same '--delay ends with the last' 1 "$($HANG "$MUSTER" map --quiet --delay 1h work.c:echo ::: 1)"
finish
