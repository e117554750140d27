/* foreign.c: options of GNU parallel and xargs that are not offered. */
#include "foreign.h"

#include <string.h>

static const char whole[] =
    "the output of a task is always written as a whole: leave it out";
static const char stdin_pieces[] =
    "--each chunk=SIZE or record=BYTES gives each task its piece";
static const char local[] = "tasks run on this machine: leave it out";
static const char strings[] =
    "there are {} {.} {/} {//} {/.} {#} {%} and {1}, {2}";
static const char many[] = "-n N gives a command N inputs";
static const char link[] = "write :::+ before the source that goes along";
static const char printing[] =
    "--dry-run prints the commands, --joblog records them";
static const char by_number[] = "-n N is how many inputs a command gets";
static const char directory[] = "change to the directory first";

static const struct {
    const char *name;
    char letter; /* 0: none */
    const char *remedy;
} foreign[] = {
    {"group", 0, whole},
    {"ungroup", 'u', whole},
    {"line-buffer", 0, whole},
    {"linebuffer", 0, whole},
    {"lb", 0, whole},
    {"link", 0, link},
    {"xapply", 0, link},
    {"pipe", 0, stdin_pieces},
    {"spreadstdin", 0, stdin_pieces},
    {"pipe-part", 0, stdin_pieces},
    {"pipepart", 0, stdin_pieces},
    {"block", 0, stdin_pieces},
    {"block-size", 0, stdin_pieces},
    {"sshlogin", 'S', local},
    {"sshloginfile", 0, local},
    {"slf", 0, local},
    {"xargs", 'm', many},
    {"context-replace", 'X', many},
    {"max-lines", 'L', many},
    {"rpl", 0, strings},
    {"plus", 0, strings},
    {"header", 0, strings},
    {"verbose", 'v', printing},
    {"", 't', printing},
    {"quote", 'q', "a shell reads no word of a command: leave it out"},
    {"env", 0, "commands have the whole environment: leave it out"},
    {"load", 0, "-j N is how many tasks run at a time"},
    {"memfree", 0, "--memory SIZE is what each worker may have"},
    {"nice", 0, "nice muster map"},
    {"wd", 0, directory},
    {"workdir", 0, directory},
    {"shuf", 0, "shuf FILE | muster map"},
    {"will-cite", 0, "leave it out"},
    {"interactive", 'p', printing},
    {"max-chars", 's', by_number},
    {"exit", 'x', by_number},
    {"", 'l', many},
    {"", 'i', "{} is the input: leave it out"},
    {"eof", 'E', "sed /END/Q FILE | muster map"},
    {"trim", 0, "sed 's/^ *//; s/ *$//' FILE | muster map"},
    {"arg-sep", 0, "inputs follow after :::"},
    {"files", 0, "--results NAME keeps outputs in files"},
    {"tmpdir", 0, "outputs are kept in memory: leave it out"},
    {"process-slot-var", 0, "PARALLEL_JOBSLOT has it"},
    {"number-of-cpus", 0, "nproc prints it"},
    {"number-of-cores", 0, "nproc prints it"},
    {"version", 'V', "muster --version"},
};

const char *foreign_long(const char *name, size_t length)
{
    for (size_t i = 0; length && i < sizeof foreign / sizeof foreign[0]; i++)
        if (strncmp(foreign[i].name, name, length) == 0 &&
            !foreign[i].name[length])
            return foreign[i].remedy;
    return NULL;
}

const char *foreign_letter(char letter)
{
    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++)
        if (foreign[i].letter == letter)
            return foreign[i].remedy;
    return NULL;
}
