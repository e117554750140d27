#!/bin/sh
# test_errors.sh: whatever is wrong gets one line that says what would be right,
# status 255, and no file is touched.
. "$(dirname "$0")/lib.sh"
cat >broken.c <<'EOF'
int broken(struct mu_task *t) { return 0 }
EOF
cat >wish.c <<'EOF'
/* muster: libs=-lm */
EOF
cat >missing.c <<'EOF'
/* muster: pkg-config=no-such-package-anywhere */
EOF
cat >undefined.c <<'EOF'
#include <muster/task.h>
int no_such(void);
int undefined(struct mu_task *t) { (void)t; return no_such(); }
EOF
cat >fails.c <<'EOF'
#include <muster/task.h>
#include <stdlib.h>
int fails(struct mu_task *t) { (void)t; return 1; }
int leaves(struct mu_task *t) { (void)t; exit(1); }
EOF
cat >quits.c <<'EOF'
#include <muster/task.h>
#include <stdlib.h>
__attribute__((constructor)) static void quit(void) { exit(0); }
int quits(struct mu_task *t) { (void)t; return 0; }
EOF
echo 'static int hidden;' >empty.c
echo 'not a library' >text.so
printf 'not a joblog\n' >bad.log
: >log
: >nothing

# helps WHAT LINE: behind what is wrong it says what would be right, and not only how
# the system calls what is wrong
helps() {
    has "a remedy for '$1'" '^muster: .+([:,] |[?] It has ).+[^ ]' "$2"
    same "more than an errno for '$1'" '' \
        "$(printf '%s\n' "$2" | grep -E ': (No such file or directory|Permission denied|Is a directory)$')"
}

# wrong PATTERN ARGUMENT...: the last line has the pattern, and it is one line
wrong() {
    pattern=$1
    shift
    echo kept >log
    got=$("$MUSTER" "$@" --joblog log --results tree </dev/null 2>&1)
    same "status of '$*'" 255 $?
    has "message of '$*'" "^muster: .*$pattern" "$(echo "$got" | tail -n 1)"
    helps "$*" "$(echo "$got" | tail -n 1)"
    same "the log after '$*'" kept "$(cat log)"
    same "no results after '$*'" 1 "$([ -e tree ] || echo 1)"
}

# one_line PATTERN ARGUMENT...: the same without those options
one_line() {
    pattern=$1
    shift
    got=$("$MUSTER" "$@" </dev/null 2>&1)
    same "status of '$*'" 255 $?
    has "message of '$*'" "^muster: .*$pattern" "$got"
    helps "$*" "$got"
    same "lines of '$*'" 1 "$(printf '%s\n' "$got" | wc -l)"
}

one_line "did you mean 'muster map'" mpa
one_line 'there are map and compare' frobnicate
one_line 'muster map work.c:echo' work.c:echo
one_line 'WORK is missing' map
one_line 'WORK is missing' map ::: a
one_line 'did you mean --keep-order' map --keep-ordr work.c:echo
one_line 'did you mean --retries' map --retry 3 work.c:echo
one_line 'no option --rounds' map --rounds 3 work.c:echo
one_line 'no option -x' map -x work.c:echo
one_line '--bar takes no value' map --bar=1 work.c:echo
one_line '--model needs a value' map work.c:echo --model
one_line '--model theads: ' map --model theads work.c:echo
one_line "unknown layer 'proc'; legal: serial, threads, processes or processes/threads," \
    map --model proc work.c:echo
one_line '--model threads/processes: ' map --model threads/processes work.c:echo
one_line '--model threads:x: ' map --model threads:x work.c:echo
one_line '-j two: it is a number' map -j two work.c:echo
one_line 'has its counts already' map --model threads:2 -j 3 work.c:echo ::: a
one_line 'runs one task at a time' map --model serial -j 3 work.c:echo ::: a
one_line '--each page: it is line, file' map --each page work.c:echo
one_line "'x' is no size" map --each chunk=x work.c:echo
one_line "'0' is no size" map --each record=0 work.c:echo
one_line '--halt always: it is never' map --halt always work.c:echo
one_line '--retries x: ' map --retries x work.c:echo
one_line '--retries 65537: .*up to 65536' map --retries 65537 work.c:echo
one_line '--timeout soon: it is seconds' map --timeout soon work.c:echo
for time in 0 1e10 9000000000; do
    one_line "--timeout $time: .*: more than 0, less than 9000000000 seconds" \
        map --timeout "$time" work.c:echo
done
one_line 'median is not offered' map --timeout 200% work.c:echo
one_line '--memory lots: it is bytes' map --memory lots work.c:echo
one_line '--children 0: it is how many' map --children 0 work.c:echo
one_line '--total-jobs x: ' map --total-jobs x work.c:echo
one_line '--resume needs --joblog' map --resume work.c:echo
one_line "'-' stands for it 2 times" map -a - work.c:echo :::: -
one_line '-a needs the name of a file' map -a '' work.c:echo
one_line 'record takes one source of inputs' map --each record=1 work.c:echo ::: a ::: b
one_line '--colsep takes one source of inputs' map --colsep , -- echo ::: a ::: b
one_line '-n takes one source of inputs' map -n 2 -- echo ::: a ::: b
one_line ':::: needs the name of a file' map work.c:echo ::: a ::::
one_line 'cannot read no-file: ' map work.c:echo ::: a :::: no-file
one_line "'b' after WORK work.c:echo: inputs follow after :::" map work.c:echo b
one_line "'b' after WORK work.c: inputs follow after :::" map work.c b
one_line "'hi' after echo: for a command write -- echo hi$" map -P 4 -n 1 echo hi {}
one_line ':::[+] goes along with the source before it: begin with :::$' map -- echo :::+ a
one_line '::::[+] goes along with the source before it: begin with ::::$' map work.c:echo ::::+ a
one_line ':::::: inputs follow after :::' map work.c:echo ::::: a
one_line "'[{]2[}]': an input is one value" map --results 'o/{2}' -- echo ::: a
one_line "'[{]2[}]': an input is one value" map --tagstring '{2}' -- echo ::: a
one_line '-j 99999: it is a number up to 4096' map -j 99999 work.c:echo
one_line 'no option --env: commands have the whole' map --env work.c:echo
one_line 'no option --rpl: there are [{][}]' map --rpl x work.c:echo
one_line 'no option --line-buffer: .* as a whole' map --line-buffer work.c:echo
one_line 'no option -u: .* as a whole' map -ku -- echo
one_line 'no option --link: write :::[+]' map --link -- echo ::: a ::: b
one_line 'no option --pipe: --each chunk=SIZE' map --pipe -- wc
one_line 'no option --max-chars: -n N is how many' map --max-chars 9 -- echo
one_line 'no option -s: -n N is how many' map -s 9 -- echo
one_line 'no option -i: [{][}] is the input' map -i -- echo
one_line 'no option -l: -n N gives' map -l -- echo
one_line 'no option -E: sed ' map -E x -- echo
one_line 'no option -p: --dry-run prints' map -p -- echo
one_line 'no option --arg-sep: inputs follow' map --arg-sep , -- echo
one_line 'no option --files: --results' map --files -- echo
one_line 'no option --version: muster --version' map --version
one_line 'no option --nosuch: see muster map' map --nosuch work.c:echo
for size in 1 1048575 8192P; do
    one_line "--memory $size: it is bytes for each worker, 1M or more, less than 8192P" \
        map --memory "$size" work.c:echo
done
one_line '-d .ab.: it is one byte' map -d ab work.c:echo
one_line '-n 0: it is how many' map -n 0 -- echo
one_line '-n 2 is for commands' map -n 2 work.c:echo ::: a
one_line '-I %: the input is [{][}]' map -I % -- echo
one_line '--tag cannot go with --reduce' map --tag --reduce add work.c:echo
one_line '--resume cannot go with --reduce' \
    map --joblog nothing --resume --reduce add work.c:echo
one_line '--reduce combines the outputs of a C function' map --reduce add -- echo
one_line '--rounds 0: ' compare --rounds 0 work.c:echo
one_line '--models theads: ' compare --models theads work.c:echo
one_line 'no option --joblog' compare --joblog x work.c:echo

wrong 'cannot read nosuch.c' map nosuch.c:echo
wrong 'not file.c:function or lib.so:function: for a command write -- echo' map echo
wrong "for a command write -- 'echo [{][}] [|] wc'$" map 'echo {} | wc'
wrong "no function 'ehco' in work.c: did you mean 'echo'" map work.c:ehco
wrong "no function 'qqqqqqqq' in work.c, unless it is static: it has " map work.c:qqqqqqqq
wrong 'which function of work.c\? It has ' map work.c
wrong "'number' in work.c is not a function" map work.c:number
wrong "is 'hidden' static" map empty.c:hidden
wrong "no function 'ad' in work.c: did you mean 'add'" map --reduce ad work.c:echo
wrong 'cannot load text.so' map text.so:f
wrong 'cannot load /bin/sh: .*: WORK is a shared library' map /bin/sh:f
wrong 'cannot read nosuch: No such file or directory: check the name' map -a nosuch work.c:echo
wrong "cannot load undefined.c: 'no_such' is not defined: .* /[*] muster: link=-lm [*]/" \
    map undefined.c:undefined
if [ "${SANITIZER:-}" != thread ]; then # which does not let a constructor exit
    wrong 'cannot load quits.c: it called exit[(]0[)], .*: look at its constructors' map quits.c:quits
fi
wrong 'broken.c does not compile: see above$' map broken.c:broken
wrong "'libs' in its muster: comment is not one of" map wish.c:f
wrong 'packages that pkg-config does not know' map missing.c:f
has 'a name that is no file' "^muster: input 1, 'nosuch', failed: cannot read its file: .*: the input has to name a file" \
    "$("$MUSTER" map --each file work.c:size ::: nosuch 2>&1)"
has 'an empty name' "^muster: input 1, '', failed: cannot read its file: No such file or directory: the input has to name a file" \
    "$("$MUSTER" map --each file work.c:size ::: '' 2>&1)"

# names do not drive the terminal, nor make lines that look like ours
bad=$(printf 'a\033[31m\nb\302\233\377\303\244')
seen='a\\033\[31m\\nb\\302\\233\\377'$(printf '\303\244')
has 'an option' "no option --$seen: see" "$("$MUSTER" map "--$bad" work.c:echo 2>&1)"
has 'a command' "no command '$seen': there" "$("$MUSTER" "$bad" 2>&1)"
has 'a file' "cannot read $seen: No such" "$("$MUSTER" map -a "$bad" work.c:echo 2>&1)"
has 'an input' "^muster: input 1, '$seen', failed: returned 1$" \
    "$("$MUSTER" map --model serial fails.c:fails ::: "$bad" 2>&1)"
has 'an input that ends the command' "^muster:     it was '$seen'$" \
    "$("$MUSTER" map --model serial fails.c:leaves ::: "$bad" 2>&1)"
printf '%s\n' "$bad" >control.log
has 'a line of a file' 'a file with: a\\033\[31m$' \
    "$("$MUSTER" map --joblog control.log --resume work.c:echo ::: a 2>&1)"
same 'what is a result stays as it is' "$bad" "$("$MUSTER" map --quiet -0 work.c:echo ::: "$bad")"

# behind ::: or -- there is no room for more options
before() {
    pattern=$1
    shift
    echo kept >log
    got=$("$MUSTER" map --joblog log --results tree "$@" </dev/null 2>&1)
    same "status of '$*'" 255 $?
    has "message of '$*'" "^muster: .*$pattern" "$got"
    helps "$*" "$got"
    same "the log after '$*'" kept "$(cat log)"
    same "no results after '$*'" 1 "$([ -e tree ] || echo 1)"
}
before "no command 'ehco' in PATH: did you mean 'echo'" -- ehco {} ::: a
CC=mn0p9q
export CC
one_line "no command 'mn0p9q' in PATH: install gcc, or name another C compiler by CC" map work.c:echo ::: a
unset CC
before 'cannot run ./work.c: not executable' -- ./work.c ::: a
before 'cannot run /dev: it is a directory: name a program' -- /dev ::: a
before 'cannot run ./work.c/x: Not a directory: check the name' -- ./work.c/x ::: a
before 'cannot run ./no: no such file: check the name' -- ./no ::: a
before 'expressions of Perl' -- echo '{= s/a/b/ =}' ::: a
before "'[{]2[}]': an input is one value" -- echo '{2}' ::: a
one_line '--colsep is for commands' map --colsep , work.c:echo ::: a
one_line '--colsep cannot go with -n 2' map --colsep , -n 2 -- echo ::: a
one_line "--colsep '[(]': .*: it is a regular expression" map --colsep '(' -- echo ::: a
one_line '--delay x: it is seconds.*: less than 9000000000' map --delay x work.c:echo ::: a
before '[{][}] has no meaning with --each record or chunk' --each chunk=1K -- echo {} ::: work.c
before 'is a directory' -a . work.c:echo
before 'cannot stop a task at a timeout' --model serial --timeout 3 work.c:echo ::: a
before 'cannot limit the memory of a task' --model threads --memory 1G work.c:echo ::: a
before 'has no worker processes to limit' --model threads --children 5 work.c:echo ::: a
one_line 'bad.log, line 1 is no line of a joblog: name the log of .*: not a joblog' \
    map --model serial --joblog bad.log --resume work.c:echo ::: a
same 'a wrong log stays as it is' 'not a joblog' "$(cat bad.log)"
printf 'keep this\nand this' >notes
printf 'and this' >line
cp notes notes.before
cp line line.before
for file in notes line; do
    one_line "$file is no joblog: name one to go on with, or a new file" \
        map --joblog +$file --results tree work.c:echo ::: a
    same "$file stays as it is" "$(cat $file.before)" "$(cat $file)"
    one_line "$file, line 1 is no line of a joblog: name the log of" \
        map --joblog $file --resume --results tree work.c:echo ::: a
    same "$file stays as it is" "$(cat $file.before)" "$(cat $file)"
done
same 'no results then' 1 "$([ -e tree ] || echo 1)"
one_line 'cannot write to --joblog nosuch/log' map --model serial --joblog nosuch/log work.c:echo ::: a
# what the shell's limits leave too little of; a sanitizer needs more itself
starved() {
    pattern=$1
    limit=$2
    shift 2
    # shellcheck disable=SC2086
    got=$( (ulimit $limit && "$MUSTER" "$@" </dev/null) 2>&1)
    same "status with ulimit $limit" 255 $?
    has "message with ulimit $limit" "^muster: .*$pattern" "$got"
    same "lines with ulimit $limit" 1 "$(echo "$got" | wc -l)"
}
if [ -z "${SANITIZER:-}" ]; then
    starved 'is ulimit -n too low' '-n 15' map --model processes:4 work.c:echo ::: a
    starved 'is ulimit -f too low' '-f 1' map --model processes:4 work.c:echo ::: a
    starved 'is ulimit -v or -d too low' '-v 60000' map --model processes:4 work.c:echo ::: a
    starved 'is ulimit -u, -v or -d too low' '-d 1000' map --model threads:4 work.c:echo ::: a
    # between what the run needs and what a command does
    has 'a command that cannot be started' 'cannot run true: Too many open files: raise ulimit -n' \
        "$(for n in 6 7 8 9 10 11 12 13 14; do
            sh -c "ulimit -n $n && exec '$MUSTER' map --model serial -- true ::: a" 2>&1
        done)"
    # what is only reserved fits into what there is
    for limit in 500000 4000000; do
        same "processes:4 with ulimit -v $limit" 5050 \
            "$(ulimit -v $limit && seq 100 | "$MUSTER" map --quiet --model processes:4 --reduce add work.c:echo)"
    done
fi
# a script whose interpreter is not there: known before, or for each input
printf '#!/no/such/sh -x\n' >lost
printf '#! /bin/sh\r\n' >foreign
chmod +x lost foreign
one_line 'cannot run ./lost: its first line names /no/such/sh, which is not there: ' map -- ./lost ::: a
one_line 'cannot run ./foreign: its first line names /bin/sh.*r, which is not there: ' map -- ./foreign ::: a
# that sanitizer makes fork of vfork: what exec says in the child is not seen
[ "${SANITIZER:-}" = thread ] ||
    has 'an input whose interpreter is not there' \
        '^muster: cannot run ./lost: its first line names /no/such/sh, which is not there: ' \
        "$("$MUSTER" map --quiet --model serial -- {} x ::: ./lost 2>&1)"
# no /dev/null, where another /dev can be mounted
cat >bare.sh <<'EOF'
mount -t tmpfs none /dev || exit
[ $# -eq 0 ] || exec "$@"
EOF
if unshare -rm sh ./bare.sh 2>/dev/null; then
    has 'what a command lacks' '^muster: cannot run echo: /dev/null: No such file or directory' \
        "$(unshare -rm sh ./bare.sh "$MUSTER" map --quiet --model serial -- echo ::: a 2>&1)"
fi
# a full disk, where a user may mount one
mkdir full
cat >full.sh <<'EOF'
mount -t tmpfs -o size=64k tmpfs full || exit 77
[ $# -gt 0 ] || exit 0
mkdir full/cache
XDG_CACHE_HOME=$PWD/full/cache exec "$@"
EOF
if unshare -rm sh ./full.sh 2>/dev/null; then
    # more than fits, and that says nothing above
    echo 'char room[1 << 20] = {1};' >large.c
    got=$(unshare -rm sh ./full.sh "$MUSTER" map --quiet large.c:f ::: a 2>&1)
    same 'status with a full cache' 255 $?
    has 'a full cache' "large.c does not compile: see above; .*full/cache/muster/ has [0-9]+ KiB left: make room there" "$got"
fi
# a closed descriptor is not the next file that is opened
for m in serial processes:2; do
    got=$("$MUSTER" map --quiet --model $m --joblog log work.c:echo ::: a 2>&1 >&-)
    same "status without standard output ($m)" 255 $?
    has 'no standard output' 'cannot write to standard output: Bad file' "$got"
    got=$("$MUSTER" map --quiet --model $m work.c:echo 2>&1 <&-)
    same "status without standard input ($m)" 255 $?
    has 'no standard input' 'cannot read standard input: Bad file' "$got"
    same "without standard error ($m)" a \
        "$("$MUSTER" map --model $m --joblog log work.c:echo ::: a 2>&-)"
    # nor is one that takes nothing the end of what there is to do
    for way in '2>&-' '2>/dev/full'; do
        rm -f log
        set -- map --bar --tag --model $m --joblog log -- 'echo {}; echo e >&2; exit {}' ::: 0 1 2
        eval "got=\$(\"\$MUSTER\" \"\$@\" $way)"
        same "status of the work with $way ($m)" 2 $?
        same "outputs with $way ($m)" 3 "$(echo "$got" | wc -l)"
        same "records with $way ($m)" 4 "$(wc -l <log)"
    done
done
# nor does what is printed vanish without a word
full() {
    got=$("$MUSTER" "$@" 2>&1 >/dev/full)
    same "status of '$*' on a full device" 255 $?
    has "message of '$*' on a full device" \
        '^muster: cannot write to standard output: No space left on device: ' \
        "$(echo "$got" | tail -n 1)"
}
full --version
full --help
full map --help
full map --dry-run work.c:echo ::: a
full compare --help
full compare --quiet --rounds 1 --models serial work.c:echo ::: a
got=$(printf 'a\0b\nc\n\0' | "$MUSTER" map --quiet -k --model serial -- echo x{} 2>&1)
has 'a NUL byte for a command' '^muster: input 1 holds a NUL byte: .* -0 ' "$got"
same 'a line goes on behind it' 'a tail ' "$(printf 'a\0b\n' |
    "$MUSTER" map --quiet --model serial -- 'echo {}; echo tail' 2>/dev/null | tr '\n' ' ')"
same 'is said once' 4 "$(echo "$got" | wc -l)"
one_line 'cannot write to --results nothing: Not a directory' map --model serial --results nothing work.c:echo ::: a
one_line 'cannot write to --results nothing/x' map --model serial --results nothing/x work.c:echo ::: a
finish
