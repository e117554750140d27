#!/bin/sh
# test_completion.sh: bash and fish complete subcommands, options, files and functions;
# these and zsh know all options and no others.
. "$(dirname "$0")/lib.sh"
completions=$SCRIPTS/../../completions

# The options that the pages of help show; for map also the first of the long names
# that the manual has for each.
options_of() {
    "$MUSTER" "$1" --help | grep -oE -- '--[a-z][a-z-]+'
    [ "$1" = compare ] ||
        sed -nE '/^[.]It Fl/s/^[^-]*Fl -([a-z][a-z-]+).*/--\1/p' "$SCRIPTS/../../man/muster-map.1"
}
for command in map compare; do
    options_of $command | sort -u >wanted.$command
done
sort -u wanted.* >wanted

# without the shells: what is written there
for file in bash/muster zsh/_muster fish/muster.fish; do
    sed -E '/^complete/s/ -l ([a-z])/ --\1/g; s/--(defined-only|version)//' "$completions/$file" |
        grep -oE -- '--[a-z][a-z-]+' | sort -u >written
    same "options that $file lacks" '' "$(comm -13 written wanted | tr '\n' ' ')"
    while read -r option; do
        for command in map compare; do
            "$MUSTER" $command "$option=x" 2>&1 </dev/null
        done | grep -c 'no option' | grep -qx 2 && echo "$option"
    done <written >unknown
    same "options that $file has and muster has not" '' "$(tr '\n' ' ' <unknown)"
done

# complete_bash WORDS: what would be offered for the last word
cat >complete.bash <<EOF
. /usr/share/bash-completion/bash_completion
. "$completions/bash/muster"
COMP_WORDBREAKS=" :="
compopt() { :; }
COMP_WORDS=("\$@")
COMP_CWORD=\$((\$# - 1))
COMP_LINE=\$*
COMP_LINE=\${COMP_LINE// : /:} # these break words, and have no blanks around them
COMP_LINE=\${COMP_LINE// = /=}
COMP_LINE=\${COMP_LINE/% =/=}
COMP_POINT=\${#COMP_LINE}
_muster
[ \${#COMPREPLY[@]} -eq 0 ] || printf '%s\n' "\${COMPREPLY[@]}"
EOF
complete_bash() {
    # shellcheck disable=SC2046
    bash complete.bash $(printf '%s\n' "$1" | sed 's/[.]c:/.c : /; s/=/ = /')
}

complete_fish() {
    HOME=$scratch fish --no-config -c "source $completions/fish/muster.fish; complete -C '$1'" |
        cut -f1 | sed 's/^work[.]c:\(.\)/\1/'
}

# offers EXPECTED WORDS
offers() {
    same "$shell: $2" "$1" "$(complete_$shell "$2" 2>&1 | sort -u | tr '\n' ' ')"
}

mkdir folder
touch words
tried=
for shell in bash fish; do
    if ! command -v $shell >/dev/null ||
        { [ $shell = bash ] && [ ! -r /usr/share/bash-completion/bash_completion ]; }; then
        echo "not tried: completion of $shell, which is not installed"
        continue
    fi
    tried=1
    offers 'map ' 'muster m'
    offers '--keep-order ' 'muster map --kee'
    offers '--rounds ' 'muster compare --ro'
    offers '' 'muster compare --kee'
    offers 'processes processes/threads ' 'muster map --model pro'
    offers 'record= ' 'muster map --each rec'
    offers 'work.c: ' 'muster map wor'
    offers 'echo ' 'muster map work.c:e'
    offers 'work.c ' 'muster map work.c:echo ::: work'
    offers 'words ' 'muster map --joblog words'
    offers 'words ' 'muster map -- echo words'
    offers '' 'muster map -- no-such-comman'
    offers '' 'muster map --quiet -- echo --kee'
    has "$shell: a folder" '^folder/?$' "$(complete_$shell 'muster map fol')"
    has "$shell: a command" '^printf$' "$(complete_$shell 'muster map -- print')"
    for command in map compare; do
        complete_$shell "muster $command --" | sort >offered
        same "$shell: options of $command" '' "$(comm -13 offered wanted.$command | tr '\n' ' ')"
    done
done
# what readline replaces, and how it is quoted, is known to bash alone
if [ -r complete.bash ] && [ -r /usr/share/bash-completion/bash_completion ] &&
    command -v bash >/dev/null; then
    shell=bash
    offers 'record= ' 'muster map --each=rec'
    offers '' 'muster map --each=chunk='
    offers '' 'muster map --each chunk='
    offers 'threads ' 'muster compare --models=thr'
    offers 'words ' 'muster map --joblog=word'
    offers '1 ' 'muster map --halt now,fail='
    offers '{} ' 'muster map -I {'
    offers '' 'muster map -N wor'
    offers '' 'muster map --no-such=wor'
    cp work.c 'my work.c'
    mkdir 'my folder'
    same 'a name with blanks' 'my\ work.c:' "$(bash complete.bash muster map 'my\ w')"
    same 'in quotes' 'my work.c:' "$(bash complete.bash muster map '"my w')"
    same 'a folder with blanks' 'my\ folder/' "$(bash complete.bash muster map 'my\ f')"
    same 'its functions' echo "$(bash complete.bash muster map 'my\ work.c' : e)"
    same 'in quotes too' 'my work.c:echo' "$(bash complete.bash muster map '"my work.c:e')"
fi
# zsh completes on a terminal alone: whether it can read it
if command -v zsh >/dev/null; then
    tried=1
    same 'zsh reads it' '' "$(zsh -n "$completions/zsh/_muster" 2>&1)"
else
    echo 'not tried: completion of zsh, which is not installed'
fi
if [ -z "$tried" ] && [ "$n_failed" -eq 0 ]; then
    echo 'skipped: neither bash-completion nor zsh nor fish is installed'
    exit 77
fi
finish
