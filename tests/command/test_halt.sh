#!/bin/sh
# test_halt.sh: --halt in all its forms: what runs, and the exit status. Where GNU
# parallel is installed it has to do the same.
. "$(dirname "$0")/lib.sh"
parallel=$(parallel --version 2>/dev/null | grep -q '^GNU parallel' && echo parallel)
model=processes
odd='echo {}; exit $(( {} % 2 ))'
good='echo {}; true {}'
bad='echo {}; exit 3'
seq 10 >ten
seq 1000 >thousand
seq 300 >threehundred

# halts FORM COMMAND JOBS EXPECTED: the outputs and the status, whatever the source
halts() {
    got=$(m -j "$3" -k --halt "$1" -- "$2" ::: $(seq 10) 2>/dev/null | tr '\n' ' ')
    got="$got$(m -j "$3" -k --halt "$1" -- "$2" ::: $(seq 10) >/dev/null 2>&1; echo $?)"
    same "--halt $1, '$2', words" "$4" "$got"
    got=$(m -j "$3" -k --halt "$1" -a ten -- "$2" 2>/dev/null >out; echo $?)
    same "--halt $1, '$2', a file" "$4" "$(tr '\n' ' ' <out)$got"
    got=$(m -j "$3" -k --halt "$1" -- "$2" <ten 2>/dev/null >out; echo $?)
    same "--halt $1, '$2', standard input" "$4" "$(tr '\n' ' ' <out)$got"
    got=$(cat ten | m -j "$3" -k --halt "$1" -- "$2" 2>/dev/null >out; echo $?)
    same "--halt $1, '$2', a pipe" "$4" "$(tr '\n' ' ' <out)$got"
    [ "$parallel" ] && [ "${5:-}" != ours ] || return
    got=$(parallel -j "$3" -k --halt "$1" "$2" <ten 2>/dev/null >out; echo $?)
    same "--halt $1, '$2', GNU parallel" "$4" "$(tr '\n' ' ' <out)$got"
}

for when in soon now; do
    halts $when,fail=1 "$odd" 1 '1 1'
    halts $when,fail=3 "$odd" 1 '1 2 3 4 5 3'
    halts $when,fail=30% "$odd" 1 '1 2 3 4 5 30'
    # one that is the share is one that is enough
    halts $when,fail=10% "$bad" 1 '1 3'
    halts $when,fail=15% "$bad" 1 '1 2 20'
    halts $when,fail=60% "$odd" 1 '1 2 3 4 5 6 7 8 9 10 50'
    halts $when,fail=7 "$odd" 1 '1 2 3 4 5 6 7 8 9 10 5'
    halts $when,success=2 "$odd" 1 '1 2 3 4 0'
    halts $when,success=30% "$odd" 1 '1 2 3 4 5 6 0'
    halts $when,done=1 "$bad" 1 '1 3'
    halts $when,done=3 "$odd" 1 '1 2 3 2'
    halts $when,done=30% "$odd" 1 '1 2 3 20'
    halts $when,done=30% "$good" 1 '1 2 3 0'
    # GNU parallel 20221122 says 101 here, although its manual counts failures
    halts $when,done=3 "$good" 1 '1 2 3 0' ours
    halts $when,fail=100% "$good" 1 '1 2 3 4 5 6 7 8 9 10 0'
done
halts 30% "$odd" 1 '1 2 3 4 5 30'
halts 2 "$odd" 1 '1 1'
halts -2 "$odd" 1 '1 2 0'
halts never "$odd" 1 '1 2 3 4 5 6 7 8 9 10 5'
halts soon,fail=2 "$good" 2 '1 2 3 4 5 6 7 8 9 10 0'
halts soon,success=30% "$bad" 2 '1 2 3 4 5 6 7 8 9 10 100'

# a share is of what there is to be, as it is told or counted
same '--total-jobs' 105 "$(m -j 1 --halt soon,fail=30% --total-jobs 20 -- "$odd" <ten |
    wc -l)$(m -j 1 --halt soon,fail=15% --total-jobs 20 -- "$odd" <ten | wc -l)"
mkdir tree
for i in 1 2 3 4 5 6 7 8 9 10; do
    echo $i >tree/$i
done
same 'of files below a folder' 3 "$(m -j 1 --each file --halt soon,done=30% work.c:copy ::: tree | wc -l)"
same 'of names that are read' 3 "$(echo tree | m -j 1 --each file --halt soon,done=30% work.c:copy | wc -l)"
same 'of pieces' 300 "$(m -j 1 --each chunk=1 --halt soon,done=30% work.c:copy ::: thousand | wc -l)"
same 'of pieces of a pipe' 300 "$(cat thousand | m -j 1 --each chunk=1 --halt soon,done=30% work.c:copy | wc -l)"
m --each chunk=1 --halt soon,fail=30% work.c:copy ::: ten nofile >out 2>err
same 'an unreadable file makes it 255' 255 $?
same 'and is told once' 1 "$(grep -c nofile err)"
# what can be read only once is not lost silently
mkfifo pipe
cat ten >pipe &
m --each chunk=1 --halt soon,fail=30% work.c:copy ::: pipe >out 2>err
same 'a pipe that would be counted makes it 255' 255 $?
has 'which is said' 'cannot count the pieces of pipe.*--total-jobs' "$(cat err)"
m -k --each chunk=1 --halt soon,fail=30% --total-jobs 10 work.c:copy ::: pipe >out
same_files 'with its number it is read' ten out
# a halt is seen while the input stalls, with --reduce too
for what in '' '--reduce join'; do
    rm -f stalls
    mkfifo stalls
    # shellcheck disable=SC2086
    $HANG "$MUSTER" map --quiet --model "$model" -j 2 --halt now,fail=1 $what work.c:code <stalls &
    pid=$!
    exec 3>stalls
    echo 7 >&3
    wait $pid
    same "a halt while the input stalls $what" 7 $?
    exec 3>&-
done

# with --reduce none is handed over ahead either
m -j 1 --halt soon,done=30% --reduce join work.c:echo <thousand >out
same_files 'with --reduce' threehundred out
m -j 1 --halt soon,done=30% --delay 0.001 --reduce join work.c:echo <thousand >out
same_files 'with --reduce and --delay' threehundred out
# two of five
same 'of groups' '1 2 3 4 ' "$(m -j 1 -n 2 --halt soon,done=30% -- echo <ten | tr '\n' ' ')"
finish
