/* help.c: what --help prints: each page fits a screen of 24 lines of 80 columns;
 * the manual pages have it all. */
#include <stdio.h>

#include "commands.h"
#include "say.h"

const char help_muster[] =
    "Usage: muster map WORK [::: INPUT...]       run WORK for each input\n"
    "       muster compare WORK [::: INPUT...]   under each model: which is "
    "best?\n"
    "\n"
    "WORK is a C function or a command:\n"
    "  file.c:function      compiled when it is new, then kept\n"
    "  lib.so:function      as it is\n"
    "  -- command {} args   {} is the input\n"
    "\n"
    "The function gets bytes and gives bytes:\n"
    "  #include <muster/task.h>\n"
    "  int size(struct mu_task *t)\n"
    "  {\n"
    "      size_t n;\n"
    "      mu_task_input(t, &n);\n"
    "      return mu_task_printf(t, \"%zu\\n\", n);\n"
    "  }\n"
    "\n"
    "  muster map size.c:size --each file ::: /usr/include\n"
    "  find . -name '*.png' | muster map -- optipng {}\n"
    "\n"
    "More: muster map --help, man muster-map, muster --version\n";

const char help_map[] =
    "Usage: muster map [OPTION...] WORK [::: INPUT...]    (all: man "
    "muster-map)\n"
    "WORK    file.c:function, lib.so:function, or -- command {}, also {.} {/} "
    "{//}\n"
    "        {/.} {#} {%}; one word in quotes is a line for the shell\n"
    "INPUTS  words after :::, lines of -a FILE, or of standard input; ::: A "
    "::: B\n"
    "  -0 --null             inputs end with NUL   -k --keep-order  output in "
    "order\n"
    "  --each line|file|record=BYTES|chunk=SIZE       what one input is\n"
    "  --model MODEL         serial, threads, processes, "
    "processes:4/threads:2\n"
    "  -j N                  tasks at a time: N, N%, +N, -N, 0 for as many as "
    "can be\n"
    "  --timeout TIME        end a task after 30, 1.5m, 2h  --delay T  "
    "between starts\n"
    "  --memory SIZE         memory of one worker: 512M   --children N  its "
    "processes\n"
    "  --retries N           try a task N times in all\n"
    "  --halt WHEN,WHY       now,fail=1  soon,fail=10%  now,success=1  "
    "soon,done=5\n"
    "  --reduce FUNCTION     combine all outputs into one\n"
    "  --joblog FILE         log each task       --resume         run what it "
    "lacks\n"
    "  --results NAME        files of output     --resume-failed  and what "
    "failed\n"
    "  --tag, --tagstring TEXT   before each line   -n N  inputs each  "
    "-d C  -C RE\n"
    "  --json                one object for each task; the report too\n"
    "  --bar --progress --eta  what is going on      --total-jobs N   of so "
    "many\n"
    "  --dry-run             print what would run    --quiet          no "
    "report\n"
    "Exit status: 0; 1-100 tasks failed; 101 for more; 255 anything else.\n";

const char help_compare[] =
    "Usage: muster compare [OPTION...] WORK [::: INPUT...]\n"
    "Run the same work under several models, in turns, and say which to take.\n"
    "\n"
    "WORK and INPUTS are those of muster map. Options:\n"
    "  -a FILE, -0, --each line|file|record=BYTES|chunk=SIZE, --reduce "
    "FUNCTION\n"
    "  --timeout TIME where the model can end a task\n"
    "  -j N           workers of each model but serial\n"
    "  --models LIST  serial,threads,processes,processes/threads\n"
    "  --rounds N     how often each model runs: 5\n"
    "  --json         the table as one object\n"
    "  --quiet        the table and nothing else\n"
    "\n"
    "All: man muster-compare\n";

int help_print(const char *page)
{
    (void)fputs(page, stdout);
    return say_flush();
}
