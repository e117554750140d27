#!/bin/sh
# seeds.sh BUILD [N]: the tests of the team whose works come from a seed, with N seeds
# (1000) from $FIRST_SEED (1) on. A failure names its seed: TEST_SEED=... runs it again.
set -eu
build=$1
first=${FIRST_SEED:-1}
last=$((first + ${2:-1000} - 1))

run() {
    TEST_SEED=$seed TEST_ONLY=$2 "$build/tests/test_unit_team_$1" >"$log" 2>&1 || {
        cat "$log"
        echo "FAILED: TEST_SEED=$seed TEST_ONLY=$2 $build/tests/test_unit_team_$1"
        exit 1
    }
}

log=$(mktemp)
trap 'rm -f "$log"' EXIT
for seed in $(seq "$first" "$last"); do
    run fork random_trees_run_every_node_once
    run cancel search_ends_early_at_any_time
    run for loops_and_forks_nest
    run for reduce_is_the_same_at_any_width
    run submit more_tasks_than_room_all_run
    run submit many_submitters_share_a_team
    run system child_leaves_a_region_it_was_born_in
done
echo "seeds $first to $last: passed"
