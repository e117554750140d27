/* lastwords.c: a handler for faults under serial and threads. The command is dying: it
 * says what it knows with calls that a signal handler may make, and lets the signal
 * do what it would have done. */
#include "lastwords.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

enum { NAMED_MAX = 8, TEXT_MAX = 1024, STACK_BYTES = 64 * 1024 };

static const struct {
    int signal;
    const char *name;
} faults[] = {
    {SIGSEGV, "SIGSEGV"}, {SIGBUS, "SIGBUS"},   {SIGFPE, "SIGFPE"},
    {SIGILL, "SIGILL"},   {SIGABRT, "SIGABRT"},
};

static const struct mu_pool *armed_pool;
static const struct flights *armed_flights;

/* One line, built and written without a lock or the heap. */
struct line {
    char text[TEXT_MAX];
    size_t size;
};

static void add(struct line *l, const char *text, size_t size)
{
    if (size > TEXT_MAX - 1 - l->size)
        size = TEXT_MAX - 1 - l->size;
    memcpy(l->text + l->size, text, size);
    l->size += size;
}

static void add_text(struct line *l, const char *text)
{
    add(l, text, strlen(text));
}

static void add_number(struct line *l, uint64_t number)
{
    char digits[20];
    size_t at = sizeof digits;

    do
        digits[--at] = (char)('0' + number % 10);
    while (number /= 10);
    add(l, digits + at, sizeof digits - at);
}

/* The table may be in the middle of a change by another thread; if that is our end,
 * the signal comes back with its own action, and the number has been said. */
static void add_input(struct line *l, uint64_t seq)
{
    const struct flight *flight = flights_find(armed_flights, seq);

    add_text(l, " '");
    if (flight)
        add(l, flight->name.data,
            flight->name.size < 200 ? flight->name.size : 200);
    add_text(l, "'");
}

static void flush(struct line *l)
{
    l->text[l->size++] = '\n';
    (void)!write(STDERR_FILENO, l->text, l->size);
    l->size = 0;
}

static void last_words(int signal)
{
    uint64_t tags[NAMED_MAX];
    struct line l = {.size = 0};
    int own;
    size_t n = mu_pool_running(armed_pool, tags, NAMED_MAX, &own);
    const char *name = "a signal";

    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++)
        if (faults[i].signal == signal)
            name = faults[i].name;
    add_text(&l, "muster: ");
    if (own) {
        add_text(&l, "input ");
        add_number(&l, tags[0]);
        add_text(&l, " crashed: ");
    }
    add_text(&l, name);
    add_text(&l, " ends the command: this model does not isolate; --model "
                 "processes loses that input alone");
    flush(&l);
    if (own) {
        add_text(&l, "muster:     it was");
        add_input(&l, tags[0]);
        flush(&l);
    }
    for (size_t i = own != 0; i < n; i++) {
        add_text(&l, "muster:     lost beside it: input ");
        add_number(&l, tags[i]);
        add_input(&l, tags[i]);
        flush(&l);
    }
    (void)raise(signal); /* with its own action: SA_RESETHAND */
}

void lastwords_arm(const struct mu_pool *pool, const struct flights *flights)
{
    static char stack[STACK_BYTES];
    const stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
    struct sigaction action = {.sa_flags =
                                   SA_ONSTACK | SA_RESETHAND | SA_NODEFER};

    armed_pool = pool;
    armed_flights = flights;
    action.sa_handler = pool ? last_words : SIG_DFL;
    (void)sigaltstack(&alternate, NULL);
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++)
        (void)sigaction(faults[i].signal, &action, NULL);
}
