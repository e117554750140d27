#!/bin/sh
# torture.sh BUILD [PART[:PATTERN]]...: each deed with 10,000 innocent tasks around it, a
# minute of random kills, the supervisor killed 100 times in each phase, and the rest of
# the tests of isolation; then the table of what each cost.
#
# A PART is one of tests/chaos/test_PART.c, and PATTERN, with * and ?, names tests of it:
#
#     torture.sh build/release killed 'deeds:segv*' 'deeds:random*'
#
# $TORTURE_TASKS, $TORTURE_SECONDS (of random kills, under each of two models) and
# $TORTURE_ROUNDS ask for more or less; $TORTURE_RUNS goes through the parts more than
# once. All of it takes about a quarter of an hour on 4 CPUs.
set -eu
build=$1
shift
export TORTURE_TASKS="${TORTURE_TASKS:-10000}" TORTURE_SECONDS="${TORTURE_SECONDS:-60}" \
    TORTURE_ROUNDS="${TORTURE_ROUNDS:-100}"
if [ $# = 0 ]; then
    for program in "$build"/tests/test_chaos_*; do
        set -- "$@" "${program##*/test_chaos_}"
    done
fi
table=$(mktemp)
export TORTURE_TABLE="$table"
trap 'rm -f "$table"' EXIT
failed=
for run in $(seq "${TORTURE_RUNS:-1}"); do
    for part; do
        case $part in
        *:*) TEST_ONLY=${part#*:} "$build/tests/test_chaos_${part%%:*}" ;;
        *) "$build/tests/test_chaos_$part" ;;
        esac || failed="$failed $part (run $run)"
    done
done
{
    printf 'deed\tmodel\toutcome\tinnocents done\tlost\tcharged\trun twice\tunseen again\tleft behind\n'
    cat "$table"
} | awk -F '\t' '
    { for (i = 1; i <= NF; i++) { cell[NR, i] = $i; if (length($i) > width[i]) width[i] = length($i) } }
    END { for (n = 1; n <= NR; n++) { line = ""
              for (i = 1; i <= 9; i++) line = line sprintf(i > 3 ? "%" width[i] "s  " : "%-" width[i] "s  ", cell[n, i])
              print line } }'
[ -z "$failed" ] || { echo "FAILED:$failed"; exit 1; }
