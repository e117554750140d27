#!/bin/sh
# mutants.sh [NAME...]: every promise has its test; this shows that the test sees
# the promise broken. mutants.list names for each promise the code that keeps it, as
# an edit that takes it away, and a test. A copy of the tree is built with one edit
# at a time, and that test has to fail.
#
# An edit that no longer changes anything is an error, and so is a test that fails
# without any. Takes minutes; with names (shell patterns) only those mutants are
# looked at.
set -u
cd "$(dirname "$0")/../.." || exit 1
home=$PWD/build/mutants
tree=$home/tree
build=$home/build
log=$home/log
list=$home/list
limit=${MUTANT_SECONDS:-60} # of a test: a mutant may hang

# What a broken promise may cost: memory, and processes that nobody ends. The
# latter carry a mark, and are ended here.
ulimit -d 4000000
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

# run_test TEST [FILTER]: 0 it passed, 124 it hung, else it failed. A filter is the
# argument of a test program that takes one.
run_test() {
    if [ $# -gt 1 ]; then
        env "$mark" timeout -k 5 $((limit / 2)) "$build/tests/$(target "$1")" "$2" </dev/null
    else
        env "$mark" timeout -k 5 $((limit + 10)) ctest --test-dir "$build" -R "^$1\$" \
            --timeout "$limit" --no-tests=error --output-on-failure
    fi >"$log" 2>&1
    status=$?
    if [ $status -ne 0 ] && grep -q '\*\*\*Timeout' "$log"; then
        status=124
    fi
    end_strays
    return $status
}

wanted() {
    name=$1
    shift
    [ $# -eq 0 ] && return 0
    for pattern; do
        # shellcheck disable=SC2254
        case $name in $pattern) return 0 ;; esac
    done
    return 1
}

# -- the copy: unchanged files keep their time, so that little is built --

mkdir -p "$tree" "$build"
cp tools/check/mutants.list "$list" || exit 1 # ours may be edited meanwhile
git ls-files --cached --others --exclude-standard >"$home/files"
while IFS= read -r file; do
    if [ -f "$file" ] && ! cmp -s "$file" "$tree/$file"; then
        mkdir -p "$tree/$(dirname "$file")"
        cp "$file" "$tree/$file" || exit 1
    fi
done <"$home/files"
(cd "$tree" && find . -type f | sed 's|^\./||' | sort) >"$home/there"
sort "$home/files" | comm -13 - "$home/there" | (cd "$tree" && xargs -r rm -f)
if ! cmake -S "$tree" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo \
    -DMUSTER_WERROR=OFF >"$log" 2>&1; then
    cat "$log"
    exit 1
fi

# -- one mutant: what the list says of it is in name, test, filter, edits --

n_noticed=0
n_unnoticed=0
n_wrong=0

wrong() {
    echo "WRONG       $name: $1"
    n_wrong=$((n_wrong + 1))
}

# A test that fails anyway notices nothing. Once for each.
passes_unchanged() {
    key=$(echo "$test $filter" | tr '/ ' '__')
    [ -e "$home/passed.$key" ] && return 0
    # shellcheck disable=SC2086
    build_for "$test" && run_test "$test" $filter && : >"$home/passed.$key"
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
    if ! passes_unchanged; then
        wrong "$test $filter does not pass as things are"
        return
    fi
    if apply; then
        if ! build_for "$test"; then
            wrong "it does not compile"
            tail -n 20 "$log"
        else
            # shellcheck disable=SC2086
            run_test "$test" $filter
            case $? in
            0)
                echo "NOT NOTICED $name: $promise ($test $filter)"
                n_unnoticed=$((n_unnoticed + 1))
                ;;
            124 | 137)
                echo "noticed     $name, by a hang ($test $filter)"
                n_noticed=$((n_noticed + 1))
                ;;
            *)
                echo "noticed     $name ($test $filter)"
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

# "name: promise", then lines that are indented: "test TEST [FILTER]" and one
# "FILE SED-EXPRESSION" for each edit; an empty line ends it
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
    '') finish_one "$@" ;;
    '    test '*)
        line=${line#    test }
        test=${line%% *}
        filter=${line#"$test"}
        filter=${filter# }
        ;;
    '    '*) echo "${line#    }" >>"$home/edits" ;;
    *)
        finish_one "$@"
        name=${line%%: *}
        promise=${line#*: }
        test=
        filter=
        : >"$home/edits"
        ;;
    esac
done 3<"$list"
finish_one "$@"

echo "$n_noticed noticed, $n_unnoticed not noticed, $n_wrong wrong"
[ $n_unnoticed -eq 0 ] && [ $n_wrong -eq 0 ]
