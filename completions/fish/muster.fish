# fish completion for muster(1)

# The words before the one that is completed, without muster itself.
function __muster_words
    set -l words (commandline -opc)
    set -e words[1]
    string join0 -- $words | string split0
end

# Whether it is an option or WORK of one of these subcommands.
function __muster_in
    set -l words (__muster_words)
    set -q words[1]; and contains -- $words[1] $argv; or return 1
    for mark in -- ::: :::: :::+ ::::+
        contains -- $mark $words[2..]; and return 1
    end
    return 0
end

# Whether it is a word of the command behind --; with `first`, its name.
function __muster_in_command
    set -l words (__muster_words)
    set -l at (contains -i -- -- $words); or return 1
    string match -qr '^::::?\+?$' -- $words; and return 1
    test "$argv" != first; or test $at -eq (count $words)
end

# WORK: a file, a colon and one of its functions.
function __muster_work
    set -l word (commandline -ct)
    set -l file (string match -r '^(.*):' -- $word)[2]
    if test -z "$file"
        for match in (__fish_complete_suffix .c .cc .cpp .cxx .C .so)
            string match -qr '\.(c|cc|cpp|cxx|C|so)$' -- $match
            and echo $match:
            string match -r '.*/$' -- $match
        end
        return
    end
    switch $file
        case '*.c' '*.cc' '*.cpp' '*.cxx' '*.C'
            sed -nE 's/^(extern ("C" )?)?int ([A-Za-z_][A-Za-z0-9_]*)\(struct mu_task .*/\3/p' $file 2>/dev/null
        case '*'
            nm -D --defined-only $file 2>/dev/null | awk '$2 == "T" && $3 !~ /^_/ { print $3 }'
    end | string replace -r '^' $file:
end

complete -c muster -f
complete -c muster -n __fish_use_subcommand -a map -d 'run a function or a command for each input'
complete -c muster -n __fish_use_subcommand -a compare -d 'run it under each model and say which to take'
complete -c muster -n __fish_use_subcommand -l version -d 'print the version'
complete -c muster -n __fish_use_subcommand -l help -d 'print a page of help'

complete -c muster -n '__muster_in map compare' -a '(__muster_work)'
complete -c muster -n '__muster_in_command first' -a '(__fish_complete_command)'
complete -c muster -n 'not __muster_in map compare; and not __fish_use_subcommand; and not __muster_in_command first' -F

complete -c muster -n '__muster_in map compare' -s a -l arg-file -rF -d 'lines of a file as inputs'
complete -c muster -n '__muster_in map compare' -s 0 -l null -d 'inputs end with NUL'
complete -c muster -n '__muster_in map compare' -s d -l delimiter -x -d 'inputs end with that byte'
complete -c muster -n '__muster_in map compare' -l each -x -a 'line file record= chunk=' -d 'what one input is'
complete -c muster -n '__muster_in map compare' -s h -l help -d 'print a page of help'
complete -c muster -n '__muster_in map compare' -s j -s P -l jobs -l max-procs -x -d 'so many tasks at a time'
complete -c muster -n '__muster_in map compare' -l json -d 'objects instead of lines'
complete -c muster -n '__muster_in map compare' -l quiet -l silent -d 'no report at the end'
complete -c muster -n '__muster_in map compare' -l reduce -x -d 'combine all outputs into one'
complete -c muster -n '__muster_in map compare' -l timeout -x -d 'end a task after that time'

complete -c muster -n '__muster_in map' -l bar -d 'show a bar'
complete -c muster -n '__muster_in map' -l children -x -d 'processes that the tasks of a worker may have'
complete -c muster -n '__muster_in map' -s C -l colsep -x -d 'cut lines into columns'
complete -c muster -n '__muster_in map' -l delay -x -d 'between the starts of two tasks'
complete -c muster -n '__muster_in map' -l dry-run -l dryrun -d 'print what would run'
complete -c muster -n '__muster_in map' -l eta -d 'show the time that is left'
complete -c muster -n '__muster_in map' -l halt -l halt-on-error -x -a 'never now,fail=1 soon,fail=1 now,success=1 soon,success=1 now,done=1 soon,done=1' -d 'stop early'
complete -c muster -n '__muster_in map' -l joblog -l jl -rF -d 'log each task'
complete -c muster -n '__muster_in map' -s k -l keep-order -d 'outputs in the order of the inputs'
complete -c muster -n '__muster_in map' -s n -s N -l max-args -l max-replace-args -x -d 'inputs for one command'
complete -c muster -n '__muster_in map' -l memory -x -d 'memory of one worker'
complete -c muster -n '__muster_in map' -l model -x -a 'serial threads processes processes/threads' -d 'how the workers are built'
complete -c muster -n '__muster_in map' -s r -l no-run-if-empty -d 'leave out lines of blanks'
complete -c muster -n '__muster_in map' -l progress -d 'show how many run and have ended'
complete -c muster -n '__muster_in map' -s I -l replace -x -a '{}' -d 'what stands for the input'
complete -c muster -n '__muster_in map' -l results -l res -rF -d 'write outputs to files'
complete -c muster -n '__muster_in map' -l resume -d 'run what the joblog lacks'
complete -c muster -n '__muster_in map' -l resume-failed -d 'and what failed'
complete -c muster -n '__muster_in map' -l retries -x -d 'try a task so often in all'
complete -c muster -n '__muster_in map' -l tag -d 'begin lines of output with the input'
complete -c muster -n '__muster_in map' -l tagstring -x -d 'begin lines of output with a text'
complete -c muster -n '__muster_in map' -l total-jobs -x -d 'how many inputs there will be'

complete -c muster -n '__muster_in compare' -l models -x -a '(__fish_complete_list , "string split \" \" \"serial threads processes processes/threads\"")' -d 'which models'
complete -c muster -n '__muster_in compare' -l rounds -x -d 'how often each model runs'
