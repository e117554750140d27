/* lastwords.c: the end of the command in the middle of a task, under serial and
 * threads. Who dies says what it knows with calls that a signal handler may make,
 * has the outputs of others saved by a thread that is well, and lets happen what
 * would have happened.
 *
 *       who dies                            who saves
 *   A1  set dying, ask (release)      --->  see it (acquire): main thread, or
 *                                           the saver when that is who dies
 *   S1  see is_saved (acquire)        <---  set is_saved (release)
 *
 * Asking is sem_post() for the saver, wakeup_ring() for the main thread: both can be
 * called by signal handlers. Who dies waits for a limited time: the heap may be locked
 * for ever, or the reader of our output may be gone. Who dies beside it stands still
 * until the first has ended the process. */
#include "lastwords.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "muster/map.h"

#include "say.h"
#include "visible.h"
#include "wakeup.h"

enum {
    NAMED_MAX = 8,
    NAME_SHOWN = 200,
    TEXT_MAX = 1024,
    STACK_BYTES = 64 * 1024,
    SAVE_MS = 2000 /* how long who dies waits for what is saved */
};

static const struct {
    int signal;
    const char *name;
} faults[] = {
    {SIGSEGV, "SIGSEGV"}, {SIGBUS, "SIGBUS"},   {SIGFPE, "SIGFPE"},
    {SIGILL, "SIGILL"},   {SIGABRT, "SIGABRT"},
};

/* Written by the main thread before tasks run. */
static struct {
    const struct mu_pool *pool; /* NULL: not armed */
    const struct flights *flights;
    lastwords_save_fn save;
    void *ctx;
    const struct lastwords_note *note;
    mu_task_fn fn; /* of lastwords_guard() */
    pid_t pid;     /* a child of a task has nothing to say */
    pthread_t main_thread;
    pthread_t saver;
    sem_t asked;
} armed;

static _Atomic pid_t dying;  /* the first thread that is; 0: none */
static _Atomic int leaving;  /* the saver ends the process when it is done: 1 */
static _Atomic int is_saved; /* what could be: 1 */
static _Atomic int is_over;  /* the saver is to end: 1 */

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

static int is_step(uint64_t tag)
{
    return tag >= MU_REDUCE_TAGS;
}

static void add_task(struct line *l, uint64_t tag)
{
    add_text(l, is_step(tag) ? "a step of --reduce" : "input ");
    if (!is_step(tag))
        add_number(l, tag);
}

/* The table may be in the middle of a change by another thread; if that is our end,
 * the signal comes back with its own action, and the number has been said. */
static void add_name(struct line *l, uint64_t seq)
{
    const struct flight *flight = flights_find(armed.flights, seq);
    char form[VISIBLE_BYTES];
    size_t size = flight ? flight->name.size : 0;
    size_t n;

    size = size < NAME_SHOWN ? size : NAME_SHOWN;
    add_text(l, " '");
    for (size_t i = 0; i < size; add(l, form, n))
        i += visible_next(flight->name.data + i, size - i, form, &n);
    add_text(l, "'");
}

static void flush(struct line *l)
{
    l->text[l->size++] = '\n';
    (void)!write(STDERR_FILENO, l->text, l->size);
    l->size = 0;
}

static int is_in_task(void)
{
    uint64_t tag;
    int own = 0;

    if (armed.pool && getpid() == armed.pid)
        (void)mu_pool_running(armed.pool, &tag, 1, &own);
    return own;
}

/* Who did it, for who said that there be a note. */
static void note_who(const char *how, const char *what)
{
    const struct lastwords_note *note = armed.note;
    struct line l = {.size = 0};
    uint64_t tag;
    int own;

    (void)mu_pool_running(armed.pool, &tag, 1, &own);
    if (own)
        add_task(&l, tag);
    else
        add_text(&l, "a thread");
    add_text(&l, how);
    add_text(&l, what);
    if (l.size > note->size - 1)
        l.size = note->size - 1;
    memcpy(note->words, l.text, l.size);
    note->words[l.size] = '\0';
}

/* Who did it, and who was beside it. `how` is what the task of this thread did. */
static void say_who(const char *how, const char *what, const char *so)
{
    uint64_t tags[NAMED_MAX];
    struct line l = {.size = 0};
    int own;
    size_t n = mu_pool_running(armed.pool, tags, NAMED_MAX, &own);

    add_text(&l, "muster: ");
    if (own) {
        add_task(&l, tags[0]);
        add_text(&l, how);
    }
    add_text(&l, what);
    add_text(&l, so);
    add_text(&l, " ends the command: this model does not isolate");
    if (!own || !is_step(tags[0]))
        add_text(&l, "; --model processes loses that input alone");
    flush(&l);
    if (own && !is_step(tags[0])) {
        add_text(&l, "muster:     it was");
        add_name(&l, tags[0]);
        flush(&l);
    }
    for (size_t i = own != 0; i < n; i++) {
        add_text(&l, "muster:     lost beside it: ");
        add_task(&l, tags[i]);
        if (!is_step(tags[i]))
            add_name(&l, tags[i]);
        flush(&l);
    }
}

static void ask_saver(void)
{
    (void)sem_post(&armed.asked);
}

static void await_save(void)
{
    const struct timespec pause = {.tv_nsec = 1000 * 1000};

    /* S1, pairs with save() */
    for (int i = 0; i < SAVE_MS; i++) {
        if (atomic_load_explicit(&is_saved, memory_order_acquire))
            return;
        (void)nanosleep(&pause, NULL);
    }
}

/* The first that dies speaks, and waits until what has ended is saved. Who dies beside
 * it does not come back from here: its end would be that of the process, with less said
 * and saved. Who saves does, and so does who fails in its last words. */
static void die(const char *how, const char *what, const char *so)
{
    const int is_main = pthread_equal(pthread_self(), armed.main_thread);
    const int was_in_task = is_in_task();
    pid_t first = 0;

    if (pthread_equal(pthread_self(), armed.saver))
        return;
    /* A1, pairs with lastwords_heed() */
    (void)atomic_compare_exchange_strong_explicit(
        &dying, &first, gettid(), memory_order_acq_rel, memory_order_acquire);
    if (first == gettid() || (first && is_main && !was_in_task))
        return;
    if (!first && armed.note)
        note_who(how, what);
    else if (!first)
        say_who(how, what, so);
    if (armed.save && was_in_task && is_main)
        ask_saver();
    else if (armed.save && was_in_task && !first)
        wakeup_ring();
    while (first)
        (void)pause();
    /* in our own code there is no thread that could go on */
    if (armed.save && was_in_task)
        await_save();
}

static void on_fault(int signal)
{
    static const struct sigaction by_default = {.sa_handler = SIG_DFL};
    const char *name = "a signal";

    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++)
        if (faults[i].signal == signal)
            name = faults[i].name;
    if (armed.pool && getpid() == armed.pid)
        die(" crashed: ", name, "");
    /* not before: it would be the end of whoever crashes meanwhile */
    (void)sigaction(signal, &by_default, NULL);
    (void)raise(signal);
}

static void on_exit_call(int status, void *ctx)
{
    struct line l = {.size = 0};

    (void)ctx;
    if (!armed.pool || getpid() != armed.pid)
        return;
    /* a thread that a task began ends the command as the task itself does; those of the
     * command itself leave with this status */
    if (!is_in_task() && (status == SAY_EXIT_OTHER ||
                          pthread_equal(pthread_self(), armed.main_thread)))
        return;
    add_text(&l, "exit(");
    add_number(&l, (uint64_t)(unsigned)status & 0xff);
    add_text(&l, ")");
    l.text[l.size] = '\0';
    die(" called ", l.text, ", which");
    _exit(SAY_EXIT_OTHER);
}

static void on_thread_end(void *ctx)
{
    (void)ctx;
    if (!is_in_task())
        return;
    die(" called ", "pthread_exit()", ", which");
    _exit(SAY_EXIT_OTHER);
}

static void save(void)
{
    armed.save(armed.ctx);
    /* S1, pairs with await_save() */
    atomic_store_explicit(&is_saved, 1, memory_order_release);
}

static void *saver_main(void *arg)
{
    (void)arg;
    while (sem_wait(&armed.asked) < 0 && errno == EINTR)
        ;
    /* acquire: pairs with lastwords_disarm() */
    if (atomic_load_explicit(&is_over, memory_order_acquire))
        return NULL;
    if (armed.save)
        save();
    /* acquire: pairs with lastwords_leave_task() */
    if (atomic_load_explicit(&leaving, memory_order_acquire))
        _exit(SAY_EXIT_OTHER);
    return NULL;
}

/* Signals are for the other threads. */
static int start_saver(void)
{
    sigset_t all;
    sigset_t before;
    int rc;

    (void)sem_init(&armed.asked, 0, 0);
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = pthread_create(&armed.saver, NULL, saver_main, NULL);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc ? say_refuse("cannot start a thread: %s", say_reason(rc)) : 0;
}

static void catch_faults(void (*handler)(int))
{
    static char stack[STACK_BYTES];
    const stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
    struct sigaction action = {.sa_flags = SA_ONSTACK | SA_NODEFER};

    action.sa_handler = handler;
    (void)sigaltstack(&alternate, NULL);
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++)
        (void)sigaction(faults[i].signal, &action, NULL);
}

int lastwords_arm(const struct mu_pool *pool, const struct flights *flights,
                  lastwords_save_fn save_ended, void *ctx,
                  const struct lastwords_note *note)
{
    /* exit() takes the handler off its list: one for each thread that may call it */
    static unsigned n_registered;

    if (start_saver() < 0)
        return -1;
    while (n_registered <= mu_pool_width(pool) &&
           on_exit(on_exit_call, NULL) == 0)
        n_registered++;
    armed.flights = flights;
    armed.save = save_ended;
    armed.ctx = ctx;
    armed.note = note;
    armed.main_thread = pthread_self();
    armed.pid = getpid();
    armed.pool = pool;
    catch_faults(on_fault);
    return 0;
}

void lastwords_disarm(void)
{
    if (!armed.pool)
        return;
    catch_faults(SIG_DFL);
    armed.pool = NULL;
    /* release: pairs with saver_main(), which ends now */
    atomic_store_explicit(&is_over, 1, memory_order_release);
    ask_saver();
    (void)pthread_join(armed.saver, NULL);
    /* relaxed: there is no saver */
    atomic_store_explicit(&is_over, 0, memory_order_relaxed);
    (void)sem_destroy(&armed.asked);
}

/* Called while the frames below are there: the main thread's hold the whole run. */
static int guarded(struct mu_task *task)
{
    int rc;

    pthread_cleanup_push(on_thread_end, NULL);
    rc = armed.fn(task);
    pthread_cleanup_pop(0);
    return rc;
}

mu_task_fn lastwords_guard(mu_task_fn fn)
{
    if (!armed.pool)
        return fn;
    armed.fn = fn;
    return guarded;
}

void lastwords_heed(void)
{
    /* acquire: A1, pairs with die() */
    if (!armed.save || !atomic_load_explicit(&dying, memory_order_acquire))
        return;
    save();
    for (;;)
        (void)pause(); /* who asked ends the process */
}

void lastwords_leave(void)
{
    if (armed.save)
        save();
    _exit(SAY_EXIT_OTHER);
}

void lastwords_leave_task(void)
{
    if (!pthread_equal(pthread_self(), armed.main_thread) || !is_in_task())
        return;
    /* release: pairs with saver_main() */
    atomic_store_explicit(&leaving, 1, memory_order_release);
    ask_saver();
}
