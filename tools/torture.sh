#!/bin/sh
# torture.sh BUILD: each deed with 10,000 innocent tasks around it, a minute of random
# kills, the supervisor killed 100 times in each phase, and the rest of the tests of
# isolation; then the table of what each cost. $TORTURE_TASKS, $TORTURE_SECONDS and
# $TORTURE_ROUNDS ask for more or less.
set -eu
build=$1
export TORTURE_TASKS="${TORTURE_TASKS:-10000}" TORTURE_SECONDS="${TORTURE_SECONDS:-60}" \
    TORTURE_ROUNDS="${TORTURE_ROUNDS:-100}"
table=$(mktemp)
export TORTURE_TABLE="$table"
trap 'rm -f "$table"' EXIT
failed=
for name in deeds supervisor blame lies beside host host_children limits renewal sandbox steps; do
    "$build/tests/test_chaos_$name" || failed="$failed $name"
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
