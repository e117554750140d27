#!/bin/sh
# A function of ours that a comment names is one that there is: each mu_name() and
# mui_name() in the library and the command stands in some code, too.
set -eu
names=$(mktemp)
trap 'rm -f "$names"' EXIT

sources() {
    find "$@" -name '*.[ch]' -o -name '*.[ch]pp'
}

# without comments, and directives that could be wrong in one heap
sources src include cli tests bench examples | xargs cat | sed 's/^ *#/ /' |
    gcc -w -fpreprocessed -dD -E -P -x c - | grep -oE '\bmui?_\w+' | sort -u >"$names"
sources src include cli | xargs grep -noE '\bmui?_\w+\(\)' | awk '
FNR == NR { there[$1] = 1; next }
{
    name = $0
    sub(/.*:/, "", name)
    sub(/\(\)/, "", name)
    if (!(name in there)) {
        print $0 ": there is none"
        bad = 1
    }
}
END { exit bad || FNR < 100 } # this looks where they are' "$names" -
