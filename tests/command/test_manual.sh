#!/bin/sh
# test_manual.sh: what readers of the manual see of examples and of NAME.
. "$(dirname "$0")/lib.sh"
root=$SCRIPTS/../..
mkdir man3
awk -v out=man3 -f "$root/tools/man3.awk" "$root"/include/muster/*.h
same 'NAME has the whole first sentence' \
    '.Nd a function over many inputs, in order, in bounded memory; and an associative reduce of what it gives' \
    "$(grep '^[.]Nd' man3/muster_map.3)"
same 'and that alone' '.Nd memory that every worker sees, whatever it is' \
    "$(grep '^[.]Nd' man3/muster_shared.3)"
# .Dl takes punctuation that stands alone for the end of a sentence
same 'examples keep their points' '' "$(grep -nE '^[.]Dl .* [].,;:!?()[] [^ ]' "$root"/man/*.1)"
finish
