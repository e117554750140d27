#!/bin/sh
# mutants.sh [-n] [AREA | AREA/NAME]...: every promise has its test; this shows that the
# test sees the promise broken. mutants/AREA.list names for each promise of an area the
# code that keeps it, as an edit that takes it away, and a test. A copy of the tree is
# built with one edit at a time, and that test has to fail.
#
# An edit that no longer changes anything is an error, and so is a test that fails
# without any. All of them take hours; with areas or names (shell patterns) only those
# are looked at. With -n nothing is built: whether each edit still changes something,
# which takes seconds.
#
# A list has entries of this form, with empty lines between them:
#
#   name: promise
#       test TEST [ONLY]            TEST as ctest calls it; with ONLY, a pattern, of
#                                   its tests those of such names
#       FILE SED-EXPRESSION         sed -E; several lines are one mutant
#
# Where two things keep one promise, the mutant takes both away.
set -u
cd "$(dirname "$0")/../.." || exit 1
only_edits=
if [ "${1:-}" = -n ]; then
    only_edits=1
    shift
fi
home=${MUTANTS_HOME:-$PWD/build/mutants}
tree=$home/tree
build=$home/build
log=$home/log
list=$home/list

# Processes that nobody ends carry a mark, and are ended here.
mark=MUSTER_MUTANT=$$.$(date +%s)

end_strays() {
    grep -lzxF "$mark" /proc/[0-9]*/environ 2>/dev/null |
        sed 's|/proc/||; s|/environ||' | xargs -r kill -KILL 2>/dev/null
    rm -f /dev/shm/muster-mutant.*
}

# fresh FILE: the file as it is in our tree, newer than what was built from it
fresh() {
    cp "$1" "$tree/$1" && touch "$tree/$1"
}

# target TEST: what has to be built for it
target() {
    case $1 in
    command/*) echo muster-cli ;;
    *) echo "test_$1" | tr / _ ;;
    esac
}

# build_for TEST
build_for() {
    cmake --build "$build" --target "$(target "$1")" >"$log" 2>&1
}

# run_test SECONDS TEST ONLY: 0 it passed, 124 it hung, else it failed. ONLY is a
# pattern for the names of the tests that are run, in programs of several.
run_test() {
    case $2 in
    command/*) set -- "$1" sh "$tree/tests/command/test_${2#*/}.sh" ;;
    *) set -- "$1" env "TEST_ONLY=$3" "$build/tests/$(target "$2")" ;;
    esac
    (
        case $* in # what a broken promise may cost; a team has 17 GB of addresses a
        # thread, a sanitizer terabytes
        *test_unit_team_* | *test_chaos_sanitized*) ;;
        *) ulimit -d 4000000 ;;
        esac
        seconds=$1
        shift
        exec env "$mark" "MUSTER=$build/cli/muster" SANITIZER= \
            timeout -k 5 "$seconds" "$@"
    ) </dev/null >"$log" 2>&1
    status=$?
    end_strays
    return $status
}

# wanted NAME PATTERN...
wanted() {
    full=$1
    shift
    [ $# -eq 0 ] && return 0
    for pattern; do
        # shellcheck disable=SC2254
        case $full in $pattern | $pattern/*) return 0 ;; esac
    done
    return 1
}

# -- the copy: unchanged files keep their time, so that little is built --

mkdir -p "$tree" "$build"
for one in tools/check/mutants/*.list; do # ours may be edited meanwhile
    echo "@$(basename "$one" .list)"
    cat "$one"
    echo
done >"$list" || exit 1
git ls-files --cached --others --exclude-standard >"$home/files"
while IFS= read -r file; do
    if [ -f "$file" ] && ! cmp -s "$file" "$tree/$file"; then
        mkdir -p "$tree/$(dirname "$file")"
        cp "$file" "$tree/$file" || exit 1
    fi
done <"$home/files"
(cd "$tree" && find . -type f | sed 's|^\./||' | sort) >"$home/there"
sort "$home/files" | comm -13 - "$home/there" | (cd "$tree" && xargs -r rm -f)
if [ ! "$only_edits" ] && ! cmake -S "$tree" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo \
    -DMUSTER_WERROR=OFF >"$log" 2>&1; then
    cat "$log"
    exit 1
fi

# -- one mutant: what the list says of it is in name, test, only, edits --

n_noticed=0
n_unnoticed=0
n_wrong=0

wrong() {
    echo "WRONG       $name: $1"
    n_wrong=$((n_wrong + 1))
}

# A test that fails anyway notices nothing. Looked at once for each, which says too
# when one hangs: a mutant may take five times as long.
passes_unchanged() {
    key=$home/passed.$(echo "$test $only" | tr -c 'a-z0-9\n' '_')
    if [ ! -e "$key" ]; then
        build_for "$test" || return 1
        since=$(date +%s)
        run_test 120 "$test" "$only" || return 1
        ! grep -q 'Running 0 test' "$log" || return 1 # there is none of that name
        echo $((5 * ($(date +%s) - since) + 10)) >"$key"
    fi
    limit=$(cat "$key")
}

apply() {
    while IFS=' ' read -r file edit; do
        if [ ! -f "$tree/$file" ]; then
            wrong "there is no $file"
            return 1
        fi
        cp "$tree/$file" "$home/before"
        sed -E "$edit" "$home/before" >"$tree/$file"
        if cmp -s "$home/before" "$tree/$file"; then
            wrong "its edit changes nothing: $file $edit"
            return 1
        fi
    done <"$home/edits"
}

restore() {
    while IFS=' ' read -r file _; do
        [ ! -f "$file" ] || fresh "$file"
    done <"$home/edits"
}

look_at() {
    if [ "$only_edits" ]; then
        apply && n_noticed=$((n_noticed + 1))
        restore
        return
    fi
    if ! passes_unchanged; then
        wrong "$test $only does not pass as things are"
        return
    fi
    if apply; then
        if ! build_for "$test"; then
            wrong "it does not compile"
            tail -n 20 "$log"
        else
            run_test "$limit" "$test" "$only"
            case $? in
            0)
                echo "NOT NOTICED $name: $promise ($test $only)"
                n_unnoticed=$((n_unnoticed + 1))
                ;;
            124 | 137)
                echo "noticed     $name, by a hang ($test $only)"
                n_noticed=$((n_noticed + 1))
                ;;
            *)
                echo "noticed     $name ($test $only)"
                n_noticed=$((n_noticed + 1))
                ;;
            esac
        fi
    fi
    restore
}

rm -f "$home"/passed.*
trap 'end_strays' EXIT
trap 'exit 1' INT TERM

# "@area" begins the entries of one
area=
name=
finish_one() {
    if [ -n "$name" ] && wanted "$name" "$@"; then
        look_at
    fi
    name=
}
while IFS= read -r line <&3; do
    case $line in
    '#'*) ;;
    @*) area=${line#@} ;;
    '') finish_one "$@" ;;
    '    test '*)
        line=${line#    test }
        test=${line%% *}
        only=${line#"$test"}
        only=${only# }
        only=${only:-*}
        ;;
    '    '*) echo "${line#    }" >>"$home/edits" ;;
    *)
        finish_one "$@"
        name=$area/${line%%: *}
        promise=${line#*: }
        test=
        only=
        : >"$home/edits"
        ;;
    esac
done 3<"$list"
finish_one "$@"

if [ "$only_edits" ]; then
    echo "$n_noticed change something, $n_wrong wrong"
else
    echo "$n_noticed noticed, $n_unnoticed not noticed, $n_wrong wrong"
fi
[ $n_unnoticed -eq 0 ] && [ $n_wrong -eq 0 ]
