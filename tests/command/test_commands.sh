#!/bin/sh
# test_commands.sh: `-- command {}` does what GNU parallel and xargs do.
. "$(dirname "$0")/lib.sh"
need_gnu_parallel
need xargs
PARALLEL_HOME=$scratch
export PARALLEL_HOME
: >will-cite

# both WHAT INPUT ARGUMENT...: the same output and the same exit status
both() {
    what=$1
    input=$2
    shift 2
    printf '%b' "$input" | parallel -k "$@" >expected 2>/dev/null
    expected_status=$?
    printf '%b' "$input" | m -k -- "$@" >got 2>/dev/null
    same "status of $what" "$expected_status" "$?"
    same_files "$what" expected got
}

echo 'echo script "$1"' >script
chmod +x script
for model in $MODELS; do
    both 'the input behind the words' 'a\nb\nc\n' echo x
    both 'the input in its place' 'a\nb\n' echo 1 {} 2 {}
    both 'parts of the input' 'a/b.c.d\n/x\n/x/y.\n.hid\nx/\nsub.dir/bar\n' \
        echo {} {.} {/} {//} {/.} '{#}'
    both 'blanks and quotes' "a  b\n'\n\"\n\$HOME\n*\n" echo {}
    both 'a line of the shell' 'a b\nx;y\n' 'echo {} | tr a-z A-Z; echo 2'
    both 'a line without a place' 'a\nb\n' 'echo x | cat -'
    both 'exit statuses' '0\n3\n7\n0\n' 'echo {}; exit {}'
    both 'a signal' '0\n9\n' 'kill -{} $$'
    both 'inputs that are commands' 'echo 1; echo 2\necho 3 | cat\n' {}
    both 'no newline at the end' 'a\nb' printf %s
    both 'no input' '' echo x
    both 'environment' 'a\nb\n' 'echo {} $PARALLEL_SEQ'
    same 'environment of who was run like this' '1 2 ' "$(PARALLEL_SEQ=99 PARALLEL_JOBSLOT=77 \
        m -k -- printenv ::: PARALLEL_SEQ PARALLEL_SEQ | tr '\n' ' ')"
    same 'and its slot' '' "$(PARALLEL_SEQ=99 PARALLEL_JOBSLOT=77 \
        m -- printenv ::: PARALLEL_JOBSLOT | grep -v '^[1-4]$')"
    both 'standard input is empty' 'a\n' 'cat; echo {}'
    same 'a script that does not say of whom' 'script a b' "$(m -- ./script 'a b' ::: c)"
    parallel -k echo ::: x y >expected
    m -k -- echo ::: x y >got
    same_files ':::' expected got
    parallel -k ::: 'echo 1' 'echo 2' >expected
    m -k -- ::: 'echo 1' 'echo 2' >got
    same_files 'commands after :::' expected got
    parallel -k --tag 'echo {}; echo 2' ::: x y >expected
    m -k --tag -- 'echo {}; echo 2' ::: x y >got
    same_files '--tag' expected got
    parallel -k --tag 'echo e{} >&2' ::: x y 2>expected
    m -k --tag -- 'echo e{} >&2' ::: x y 2>got
    same_files '--tag on standard error' expected got
    parallel --dry-run -k echo {} '|' wc ::: "it's" 'a b' | sed 's/|/'"'|'"'/' >expected
    m --dry-run -- echo {} '|' wc ::: "it's" 'a b' >got
    same_files '--dry-run of words' expected got
    parallel --dry-run -k 'echo {} | wc {/.}' ::: "it's" 'a b' "a'b'/c.d" >expected
    m --dry-run -- 'echo {} | wc {/.}' ::: "it's" 'a b' "a'b'/c.d" >got
    same_files '--dry-run of a line' expected got
    # GNU parallel has them as options of the shell
    same 'lines that begin like options' 'a b ' \
        "$(m -k -- ::: '-n; echo a' '+n; echo b' 2>/dev/null | tr '\n' ' ')"
    same 'a line that begins like an option' 'a' "$(m -- '-n; echo {}' ::: a 2>/dev/null)"
    seq 40 | xargs -n1 echo >expected
    seq 40 | m -k -- echo >got
    same_files 'as xargs -n1' expected got
    seq 300 | parallel -k --pipe --recend '\n' -N100 wc -l >expected
    seq 300 >lines
    size=$(head -n 100 lines | wc -c)
    same 'a chunk on standard input' "$(wc -l <lines)" \
        "$(m -k --each "chunk=$size" -- wc -l <lines | awk '{n += $1} END {print n}')"
    same 'a slot is not above the width' '' \
        "$(seq 50 | m -- echo {%} | awk '$1 < 1 || $1 > 4')"
done

# several inputs for one command; -d; --tagstring
for model in $MODELS; do
    for n in 1 2 3 7; do
        printf '%s\n' a 'b c' d "e'f" g | m -k -n $n -- printf '<%s>' >got
        printf '%s\0' a 'b c' d "e'f" g | xargs -0 -n $n printf '<%s>' >expected
        same_files "-n $n" expected got
    done
    same '-n within the words' 'x a b y x c y ' "$(m -k -n2 -- echo x {} y ::: a b c | tr '\n' ' ')"
    same '-n within a line' 'a b c a b c.x ' \
        "$(m -k -n2 -- 'echo {}; echo {.}.x' ::: a 'b c' | tr '\n' ' ')"
    same '-n and logs' "echo a 'b c'" "$(m -n2 --joblog - -- echo ::: a 'b c' | grep : | cut -f9)"
    same '-n and --tag' 'a b	a b' "$(m -n2 --tag -- echo ::: a b)"
    same '-d' 'a b c ' "$(printf 'a,b,c' | m -k -d, -- echo | tr '\n' ' ')"
    same '-d with an escape' 'a b c ' "$(printf 'a\tb\tc' | m -k -d '\t' -- echo | tr '\n' ' ')"
    for byte in '\x2c' '\054'; do
        same "-d $byte" 'a b c ' "$(printf 'a,b,c' | m -k -d "$byte" -- echo | tr '\n' ' ')"
    done
    same '-r -I{}' 'a ' "$(printf 'a\n' | m -r -I{} -- echo {} | tr '\n' ' ')"
    parallel -k --tagstring '{/.}:{#}' echo ::: x/a.c b >expected
    m -k --tagstring '{/.}:{#}' -- echo ::: x/a.c b >got
    same_files '--tagstring' expected got
done

# What a command prints stays together, though all print at the same time.
model=threads:4
m -- 'for i in 1 2 3 4 5; do echo {}; echo {} >&2; done' ::: a b c d e f g h \
    >got 2>errors
same 'output is not mixed' '8' "$(uniq got | wc -l)"
same 'errors are not mixed' '8' "$(uniq errors | wc -l)"
# A background process that keeps the output open delays nobody and says nothing
# more.
mkfifo never
m -- 'echo {}; (read x <never; echo late) & exit 0' ::: a >got
same 'a background process' 'a' "$(cat got)"
: >never

# A command is ended at its time. Its children too: test_failures.sh sees that.
mkfifo hold
m --timeout 0.2 --joblog log -- 'sh -c "read x <hold"; echo never' ::: a >got
same 'status of --timeout' 1 $?
same '--timeout' '' "$(cat got)"
same 'its record' '-1	15' "$(tail -n 1 log | cut -f7,8)"
# what is too long for a word of a command
head -c 140000 /dev/zero | tr '\0' x >long
# with the thread sanitizer the process that fails to become the command says nothing
if [ "${SANITIZER:-}" != thread ]; then
    has 'a word that is too long says what to do' \
        '^muster: cannot run true: Argument list too long: give long inputs by standard input, with --each' \
        "$(m -- true <long 2>&1)"
fi
same 'and that works' 140000 "$(m --each chunk=1M -- wc -c <long)"
# descriptors that the shell opened for us reach every command by their names
printf 'seven\n' >seven
printf 'eight\n' >eight
for model in $MODELS; do
    for name in /dev/fd/ /proc/self/fd/; do
        same "an input $name" 'seven eight ' \
            "$(m -k -- cat {} ::: ${name}7 ${name}8 7<seven 8<eight | tr '\n' ' ')"
        same "several, $name" 'seven eight ' \
            "$(m -- cat {2} {1} ::: ${name}8 ::: ${name}7 7<seven 8<eight | tr '\n' ' ')"
        same "in a line for the shell, $name" 'seven eight ' \
            "$(m -- 'cat {2} {1}; :' ::: ${name}8 ::: ${name}7 7<seven 8<eight | tr '\n' ' ')"
        same "a word of the command, $name" 'seven eight ' \
            "$(m -- cat ${name}7 ::: eight 7<seven | tr '\n' ' ')"
    done
    same 'the shell has its own' 'eight' "$(m -- 'exec 7<{}; cat /dev/fd/7' ::: eight 7<seven)"
    same 'other names stay' '/dev/fd/2 /dev/fd/ /dev/fd/7x /dev/fd/1/7 ' \
        "$(m -k -- echo ::: /dev/fd/2 /dev/fd/ /dev/fd/7x /dev/fd/1/7 7<seven | tr '\n' ' ')"
    own='/dev/fd/3 /dev/fd/4 /dev/fd/5 /dev/fd/6 '
    same "what is muster's own is not reached" "$own" \
        "$(m -k -- echo ::: $own 3<&- 4<&- 5<&- 6<&- | tr '\n' ' ')"
done
finish
