/* main.c: the muster command: which subcommand. */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "muster/init.h"

#include "commands.h"
#include "output.h"
#include "say.h"
#include "standard.h"
#include "text.h"

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    int runs_tasks; /* in its own process */
} commands[] = {
    {"map", command_map, 1},
    {"compare", command_compare, 0},
};
enum { N_COMMANDS = sizeof commands / sizeof commands[0] };

static int refuse_command(const char *name)
{
    struct say_nearest nearest = {.typed = name};

    for (size_t i = 0; i < N_COMMANDS; i++)
        say_nearest_offer(&nearest, commands[i].name);
    if (nearest.best)
        say("no command '%s': did you mean 'muster %s'?", name, nearest.best);
    else if (strchr(name, ':'))
        say("no command '%s': to run it over inputs: muster map %s", name,
            name);
    else
        say("no command '%s': there are map and compare, see muster --help",
            name);
    return SAY_EXIT_OTHER;
}

static int print_version(void)
{
    struct text line = {0};
    int status;

    text_printf(&line, "muster %s\n", mu_version());
    status = output_print(line.data);
    text_fini(&line);
    return status;
}

/* A standard descriptor that is closed would be the number of the next file that is
 * opened, and what is printed would go into that. One that fails takes its place. */
static void occupy_standard_descriptors(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0)
            (void)!open("/dev/null",
                        fd == STDIN_FILENO ? O_WRONLY : O_RDONLY); // NOLINT
}

int main(int argc, char **argv)
{
    struct mu_error err;
    const char *name = argc > 1 ? argv[1] : "--help";

    occupy_standard_descriptors();
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 ||
        strcmp(name, "help") == 0)
        return help_print(help_muster);
    if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0)
        return print_version();

    for (size_t i = 0; i < N_COMMANDS; i++) {
        if (strcmp(name, commands[i].name) != 0)
            continue;
        /* before anything else: worker processes are forked from what we are now */
        if (standard_take() < 0)
            return SAY_EXIT_OTHER;
        if (commands[i].runs_tasks && mu_init(&err) < 0) {
            say("%s", err.text);
            return SAY_EXIT_OTHER;
        }
        return commands[i].run(argc - 1, argv + 1);
    }
    return refuse_command(name);
}
