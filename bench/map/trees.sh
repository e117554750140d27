#!/bin/sh
# trees.sh: the inputs of the suite, listed in the current folder, and read once so
# that they are in memory. Of the binaries the first gigabyte.
set -eu
export LC_ALL=C
rm -f words sums lengths
{
    find /usr/include -name '*.h' -type f
    find /usr/share/doc -type f ! -name '*.gz'
} | sort >tree
find /usr/bin /usr/lib -type f -size +32k -size -64M -printf '%s %p\n' 2>/dev/null |
    sort -k 2 | awk '{sum += $1; if (sum > 1e9) exit; sub(/^[0-9]+ /, ""); print}' >files
xargs -d '\n' cat <tree >/dev/null
xargs -d '\n' cat <files >/dev/null
echo "$(wc -l <tree) documents and headers; $(wc -l <files) binaries" >&2
