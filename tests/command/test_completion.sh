#!/bin/sh
# test_completion.sh: bash completes subcommands, options, files and functions.
. "$(dirname "$0")/lib.sh"
need bash
library=/usr/share/bash-completion/bash_completion
if [ ! -r "$library" ]; then
    echo "skipped: bash-completion is not installed"
    exit 77
fi
cat >complete.bash <<EOF
. $library
. "$SCRIPTS/../../completions/bash/muster"
# complete WORD...: what would be offered for the last word
COMP_WORDBREAKS=" :="
compopt() { :; }
COMP_WORDS=("\$@")
COMP_CWORD=\$((\$# - 1))
COMP_LINE=\$*
COMP_LINE=\${COMP_LINE// : /:} # a colon breaks words, and has no blanks around it
COMP_POINT=\${#COMP_LINE}
_muster
printf '%s ' "\${COMPREPLY[@]}"
EOF

# offers WHAT EXPECTED WORD...
offers() {
    what=$1
    expected=$2
    shift 2
    same "$what" "$expected" "$(bash complete.bash "$@" 2>&1)"
}

offers 'subcommands' 'map ' muster m
offers 'options' '--keep-order ' muster map --kee
offers 'options of compare' '--rounds ' muster compare --ro
offers 'models' 'processes processes/threads ' muster map --model pro
offers 'C files' 'work.c: ' muster map wor
offers 'functions' 'echo ' muster map work.c : e
offers 'inputs' 'work.c ' muster map work.c : echo ::: wor

# every option of the tables is offered
for command in map compare; do
    bash complete.bash muster $command -- | tr ' ' '\n' | sort >offered
    "$MUSTER" $command --help | grep -oE -- '--[a-z-]+' | sort -u |
        grep -vx -- '--' >shown
    same "options of $command" '' "$(comm -13 offered shown | tr '\n' ' ')"
done
finish
