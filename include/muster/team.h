/* team.h: fork and join, and loops, over the threads of this process.
 *
 *     static inline long fib(struct mu_job *j, int n);
 *     MU_FORKABLE(long, fib, int)
 *
 *     static inline long fib(struct mu_job *j, int n)
 *     {
 *         long a, b;
 *
 *         if (n < 2)
 *             return n;
 *         mu_fork(j, fib, n - 1);
 *         b = fib(j, n - 2);
 *         a = mu_join(j, fib);
 *         return a + b;
 *     }
 *
 *     long fib_of_40(void)
 *     {
 *         struct mu_job *j = mu_team_enter(NULL);
 *         long result = fib(j, 40);
 *
 *         mu_team_leave(j);
 *         return result;
 *     }
 *
 * A fork writes the function and its arguments down and goes on; the join runs
 * them like a function call, or waits when a team-mate took them meanwhile. That
 * costs about as much as the call itself while every thread is busy, so forks need
 * no cut-off. `inline` lets gcc -O3 put some levels of a recursion into one, as it
 * does by itself without forks.
 *
 * Rules:
 * - `j` is a parameter or local variable of the function that forks: mu_fork()
 *   moves it on by one, mu_join() moves it back. Pass it to what you call.
 * - A function joins all that it forked, the last fork first, before it returns.
 * - Between fork and join the arguments are not yours: what they point to lives
 *   on, and is not written by both sides.
 * - While a join waits it runs only work that was forked below what it waits for:
 *   never a stranger's, so a lock may be held over it as over a function call.
 * - Not in a signal handler. No longjmp or exception past a fork not yet joined, nor out
 *   of the body of a loop, a leaf, a `combine` or what a ticket runs.
 * - Threads of the team have all signals blocked but those of faults, and so have programs
 *   that are started there, unless they unblock them.
 *
 * Models: all. Inside a task the team is that of the process the task runs in. */
#ifndef MUSTER_TEAM_H
#define MUSTER_TEAM_H

#include <stddef.h>
#include <stdint.h>

#include "muster/base.h"

MU_BEGIN_DECLS

struct mu_team;
struct mu_job;

/* What a team is opened with. {0} is every default; new fields go to the end. */
struct mu_team_options {
    /* Threads that work together, one that calls mu_team_enter() included; at most 4096.
     * 0: one for each CPU that this process may use. */
    unsigned n_threads;
    /* Address space for the C stack of a thread. 0: 1 GiB, or less where the process
     * is limited (ulimit -v or -d); memory is used as deep as the recursion goes. */
    size_t stack_bytes;
    /* How long the last idle thread looks for work before it sleeps too. 0: 2.5
     * ms. Below 0: not at all. The others sleep sooner. */
    int64_t spin_ns;
    /* Bind each thread of the team to a core of its own, neighbours next to each
     * other by cache and NUMA node, and steal from near ones first. The threads
     * that enter are left as they are. */
    int pin;
};

/* Start a team.
 * options   NULL for every default; borrowed
 * Returns   0; -ENOMEM; -EINVAL: more than 4096 threads; -ELIBACC: `pin` needs hwloc,
 *           which is not installed. Fewer threads than asked for are no error: the system
 *           had no more, or none with such a stack (one that is far too small, too); see
 *           mu_team_width()
 * Threads   any */
MU_API MU_NODISCARD int mu_team_open(const struct mu_team_options *options,
                                     struct mu_team **ret_team,
                                     struct mu_error *err);

/* Stop the threads and free the team: every region was left and every ticket
 * waited for. Accepts NULL. Blocks until the threads have ended.
 * Threads   one, and not from inside the team */
MU_API void mu_team_close(struct mu_team *team);

/* How many threads work together at most: 1 in a child of fork().
 * team      NULL: the team of this process, as in mu_team_enter() */
MU_API unsigned mu_team_width(struct mu_team *team);

/* Begin a region: from here to mu_team_leave() this thread may fork, and the team
 * takes part. Regions nest, and each has its own cancellation.
 * team      NULL: the team of this process, started at the first use, with a
 *           thread for each usable CPU
 * Returns   lent until mu_team_leave(); NULL when there is no address space
 * Context   any thread, or a task under any model
 * After fork()  the child's team has one thread, the caller, and works. In a child
 *           forked by a job that a thread of the team runs, that thread ends when the
 *           job returns, and the process with it, by exit(0)
 * Cost      10 to 20 ns while the team is awake; sleeping threads are woken by
 *           work they can have, one at a time */
MU_API MU_NODISCARD struct mu_job *mu_team_enter(struct mu_team *team);

/* End the region: everything forked has been joined.
 * j         as mu_team_enter() gave it; taken
 * Returns   0; what mu_job_cancel() was told, when the region was cancelled */
MU_API int mu_team_leave(struct mu_job *j);

/* Cancel the region that `j` works for: forks and chunks of loops that have not
 * started will not, and their joins return zeros (mu_join_status() tells). What
 * runs goes on, and may look at mu_job_status().
 * status    below 0, such as -ECANCELED or an error of your own; the first wins
 * Threads   any that works in the region */
MU_API void mu_job_cancel(struct mu_job *j, int status);

/* Whether the region was cancelled: 0, or the status it was cancelled with.
 * Cost      three loads */
MU_API int mu_job_status(const struct mu_job *j);

/* A piece of work given to a team from outside of it, in memory of the caller:
 * {0}, or after its wait. It stays in place until it was waited for. */
struct mu_ticket;

/* Take a submitted task back: if nobody has started it it will not run, else it is
 * asked to stop, and its wait returns the status, whatever it did. One that has ended
 * keeps its result. It still has to be waited for. Any thread. */
MU_API void mu_ticket_cancel(struct mu_ticket *ticket, int status);

/*
 * Forking.
 *
 * MU_FORKABLE(result, f, types...) makes a function ready to be forked, after its
 * prototype; MU_FORKABLE_VOID(f, types...) one that returns nothing. Its first
 * parameter is struct mu_job *, and `types` are those of the others: 0 to 8, 48
 * bytes together; pass a pointer to a struct when it is more. A type is written as
 * for a variable (`const char *`); name arrays and function pointers by a typedef.
 * In C++ the types have to be trivially copyable.
 *
 *   mu_fork(j, f, args...)         start f(args...), to be joined
 *   mu_join(j, f)                  its result; zeros if it was cancelled
 *   mu_join_void(j, f)             the same for MU_FORKABLE_VOID
 *   mu_join_status(j, f, &result)  0 and the result; or, when it was cancelled
 *                                  before it started, the status, result unchanged;
 *                                  NULL for MU_FORKABLE_VOID
 *   mu_unfork(j, f, &result)       1: taken back before anybody began it, it is the
 *                                  caller's to do; or 0 and the result, as mu_join()
 *   mu_team_submit(team, &ticket, f, args...)
 *   mu_team_wait(&ticket, f, &result)
 *
 * Progress: mu_fork() never waits; mu_join() waits while a team-mate runs what it
 * joins, and helps with what that has forked.
 *
 * mu_unfork() is for a loop that forks what is left of it. It stays one loop, at the
 * speed that it has without forks, and needs one slot however long it is:
 *
 *     int is_free(long board, int column);
 *     long board_with(long board, int column);
 *     static long place(struct mu_job *j, long board, int column);
 *     MU_FORKABLE(long, place, long, int)
 *
 *     static long place(struct mu_job *j, long board, int column)
 *     {
 *         long sum = 0;
 *         long rest;
 *
 *         for (; column < 8; column++)
 *             if (is_free(board, column)) {
 *                 mu_fork(j, place, board, column + 1);
 *                 sum += 1 + place(j, board_with(board, column), 0);
 *                 if (!mu_unfork(j, place, &rest))
 *                     return sum + rest;
 *             }
 *         return sum;
 *     }
 *
 *     long n_boards(void)
 *     {
 *         struct mu_job *j = mu_team_enter(NULL);
 *         long result = place(j, 0, 0);
 *
 *         mu_team_leave(j);
 *         return result;
 *     }
 *
 * The C stack may get as deep as if each iteration called the rest: when it is taken
 * again and again it does. For thousands of iterations there is mu_for().
 *
 * mu_team_submit() hands f(args...) to the team and returns 0; the caller needs no
 * region. When the queue is full, or holds enough tasks so tiny that moving them
 * costs more, it runs the task itself before it returns, so hold no lock that f
 * takes. mu_team_wait() returns 0 and the result (&result may
 * be NULL), or the status a cancelled task was cancelled with; it runs the task
 * itself when nobody has started it, else it sleeps. Who has to run it and has no
 * address space for that cancels it with -ENOMEM, which a submit returns too: then
 * there is nothing to wait for. Any thread may submit, and any one may wait.
 */
/* NOLINTBEGIN(readability-identifier-naming): used like functions */
/* `...` is the function, then its arguments: never empty, as C99 and C++11 have it */
#define mu_fork(j, ...)           MUI_CALL(_mu_fork, ((j)++), __VA_ARGS__)
#define mu_join(j, f)             (MUI_CAT(f, _mu_join)(--(j)))
#define mu_join_void(j, f)        (MUI_CAT(f, _mu_join)(--(j)))
#define mu_join_status(j, f, ret) (MUI_CAT(f, _mu_join_status)(--(j), (ret)))
#define mu_unfork(j, f, ret)      (MUI_CAT(f, _mu_unfork)(--(j), (ret)))
#define mu_team_submit(team, ticket, ...)                                      \
    MUI_CALL(_mu_submit, ((team), (ticket)), __VA_ARGS__)
#define mu_team_wait(ticket, f, ret) (MUI_CAT(f, _mu_wait)((ticket), (ret)))
#define mu_team_wait_many(ticket)    (mu_ticket_wait(ticket))

/*
 * Loops.
 *
 *     static void scale(struct mu_job *j, size_t begin, size_t end,
 *                       double *x, double by);
 *     MU_LOOP(scale, double *, double)
 *
 *     void twice(struct mu_job *j, double *x, size_t n)
 *     {
 *         mu_for(j, 0, n, scale, x, 2.0);
 *     }
 *
 * MU_LOOP(body, types...) makes a loop body, after its prototype.
 *
 *   mu_for(j, begin, end, body, args...)
 *   mu_for_grain(j, begin, end, grain, body, args...)
 *   mu_team_submit_many(team, &ticket, n, body, args...)
 *   mu_team_wait_many(&ticket)
 *
 * mu_for() calls body(j, b, e, args...) for ranges that cover [begin, end), each
 * index once, on whichever threads are free; it returns when all is done. How many
 * go to a call is found while it runs, so that uneven and tiny bodies both do
 * well; `grain` above 0 fixes the least, but for the last range. Bodies may fork and
 * loop. A thread that has not come in time is not waited for. A cancelled region starts no
 * more calls. Which thread takes which part changes each time: a loop that is repeated
 * over the same data moves them from core to core. Below some 50 us give such a loop a
 * grain of n / threads, below 20 leave it serial.
 *
 * mu_team_submit_many() gives n tasks to the team at once, task i being index i of
 * the loop; the arguments may take 40 bytes. mu_team_wait_many() waits for all of
 * them and returns 0, or the status they were cancelled with.
 */
#define mu_for(j, begin, end, ...)                                             \
    MUI_CALL(_mu_for, ((j), (begin), (end), 0), __VA_ARGS__)
#define mu_for_grain(j, begin, end, grain, ...)                                \
    MUI_CALL(_mu_for, ((j), (begin), (end), (grain)), __VA_ARGS__)
#define mu_team_submit_many(team, ticket, n, ...)                              \
    MUI_CALL(_mu_many, ((team), (ticket), (n)), __VA_ARGS__)

/*
 * Reductions.
 *
 *     static double sum(struct mu_job *j, size_t begin, size_t end,
 *                       const double *x);
 *     static double add(double a, double b);
 *     MU_REDUCIBLE(double, sum, add, const double *)
 *
 *     double total(struct mu_job *j, const double *x, size_t n)
 *     {
 *         return mu_for_reduce(j, 0, n, sum, x);
 *     }
 *
 * MU_REDUCIBLE(result, leaf, combine, types...) makes a reduction of `leaf`, which
 * gives the result of a range, and `combine`, which has to be associative and gets
 * neighbours in order.
 *
 *   mu_for_reduce(j, begin, end, leaf, args...)
 *   mu_for_reduce_grain(j, begin, end, grain, leaf, args...)
 *
 * Which ranges there are and how they are combined depends on end - begin and
 * grain alone: the result is the same to the last bit with any number of threads, as long
 * as they round alike: a thread of the team rounds as its starter did when it was started.
 * An empty range is leaf(begin, begin). In a cancelled region the result is all
 * zeros.
 */
#define mu_for_reduce(j, begin, end, ...)                                      \
    MUI_CALL(_mu_reduce, ((j), (begin), (end), 0), __VA_ARGS__)
#define mu_for_reduce_grain(j, begin, end, grain, ...)                         \
    MUI_CALL(_mu_reduce, ((j), (begin), (end), (grain)), __VA_ARGS__)
/* NOLINTEND(readability-identifier-naming) */

/*
 * From here on: what the macros above are made of. Not to be used by hand.
 */

#define MUI_JOB_BYTES 48

/* Run the job `self` with its stack of jobs from `top` on. */
typedef void (*mu_job_fn)(struct mu_job *self, struct mu_job *top);

/* A fork: a slot of a seat (docs/TEAM.md). Written by a fork: run, payload.
 * state and base have a meaning only after the slot was exposed. */
struct mu_job {
    mu_job_fn run;
    uint32_t state;
    uint32_t base;
    unsigned char payload[MUI_JOB_BYTES];
} __attribute__((aligned(16))); /* 64 bytes; as malloc() aligns tickets */

struct mu_ticket {
    struct mu_job job;
    struct mu_team *team;
    void *cell;
    int status;
};

/* Pointers made what they are not: in C++ by the cast that warns nobody, since some of
 * this is expanded in the user's code. */
#ifdef __cplusplus
#    define MUI_CAST(type, value) (reinterpret_cast<type>(value))
#else
#    define MUI_CAST(type, value) ((type)(value))
#endif

/* A seat is a region of address space this large and so aligned; it begins with
 * its limit. Slots at or above the limit belong to the owner alone; below it they
 * were exposed. A hungry team-mate raises the limit over all of them. */
#if UINTPTR_MAX > 0xffffffffu
#    define MUI_SEAT_BITS 34
#else
#    define MUI_SEAT_BITS 22
#endif
/* a 1 as wide as a pointer, without a cast */
#define MUI_SEAT_BYTES ((UINTPTR_MAX & 1) << MUI_SEAT_BITS)
#define MUI_HUNGRY     UINTPTR_MAX

static inline uintptr_t mui_job_limit(const struct mu_job *j)
{
    const uintptr_t *limit = MUI_CAST(
        const uintptr_t *, MUI_CAST(uintptr_t, j) & ~(MUI_SEAT_BYTES - 1));

    /* relaxed: the comparison only chooses a path; the other one synchronises */
    return __atomic_load_n(limit, __ATOMIC_RELAXED);
}

/* The slow half of a fork: somebody is hungry. j is the slot just written. */
MU_API void mu_job_feed(struct mu_job *j);

/* The slow half of a join: 1: the caller runs the job now; 0: it was run, its
 * result is in the slot; or it was cancelled, the slot is zeros and its state
 * MUI_JOB_CANCELLED. */
MU_API int mu_job_join(struct mu_job *j, mu_job_fn run);
#define MUI_JOB_CANCELLED 4u

/* Ends of the macros of the same names. */
MU_API int mu_ticket_submit(struct mu_team *team, struct mu_ticket *ticket);
MU_API int mu_ticket_wait(struct mu_ticket *ticket);

typedef void (*mu_range_fn)(struct mu_job *top, size_t begin, size_t end,
                            const void *args);

MU_API void mu_for_range(struct mu_job *j, size_t begin, size_t end,
                         size_t grain, mu_range_fn body, const void *args);

struct mui_reduction {
    size_t size;
    void (*leaf)(struct mu_job *top, size_t begin, size_t end, const void *args,
                 void *ret_result);
    void (*combine)(void *left, const void *right);
};

MU_API void mu_for_reduce_range(struct mu_job *j, size_t begin, size_t end,
                                size_t grain, const struct mui_reduction *r,
                                const void *args, void *ret_result);

MU_END_DECLS

/* So much that gcc does not count the slow paths when it chooses what to inline. */
#define MUI_LIKELY(x)   __builtin_expect_with_probability(!!(x), 1, 0.9999)
#define MUI_UNUSED      __attribute__((unused))
#define MUI_FORK_INLINE static inline __attribute__((unused))

/* NOLINTBEGIN(bugprone-macro-parentheses): types, fields and parameters are pasted,
 * and cannot stand in parentheses. */

/* Lists of 0 to 8 arguments, behind something else: as parameters, as fields, by name,
 * in and out of a struct. A list begins with a name, which is not counted: without it one
 * of none could not be passed to `...`. */
#define MUI_CAT(a, b)                                   MUI_CAT_EXPANDED(a, b)
#define MUI_CAT_EXPANDED(a, b)                          a##b
#define MUI_APPLY(macro, ...)                           macro(__VA_ARGS__)
#define MUI_FIRST(f, ...)                               f
#define MUI_UNWRAP(...)                                 __VA_ARGS__

#define MUI_COUNT(...)                                  MUI_COUNT_OF(__VA_ARGS__, 8, 7, 6, 5, 4, 3, 2, 1, 0, )
#define MUI_COUNT_OF(f, a, b, c, d, e, g, h, i, n, ...) n
/* f##suffix(first, the rest of the list); `first` is in parentheses. */
#define MUI_CALL(suffix, first, ...)                                           \
    (MUI_CAT(MUI_CALL_, MUI_COUNT_OF(__VA_ARGS__, 1, 1, 1, 1, 1, 1, 1, 1,      \
                                     0, ))(suffix, first, __VA_ARGS__))
#define MUI_CALL_0(suffix, first, f) f##suffix first
#define MUI_CALL_1(suffix, first, f, ...)                                      \
    f##suffix(MUI_UNWRAP first, __VA_ARGS__)
#define MUI_PARAMS(...)                                                        \
    MUI_CAT(MUI_PARAMS_, MUI_COUNT(__VA_ARGS__))(__VA_ARGS__)
#define MUI_PARAMS_0(f)
#define MUI_PARAMS_1(f, A)                , A a1
#define MUI_PARAMS_2(f, A, B)             MUI_PARAMS_1(f, A), B a2
#define MUI_PARAMS_3(f, A, B, C)          MUI_PARAMS_2(f, A, B), C a3
#define MUI_PARAMS_4(f, A, B, C, D)       MUI_PARAMS_3(f, A, B, C), D a4
#define MUI_PARAMS_5(f, A, B, C, D, E)    MUI_PARAMS_4(f, A, B, C, D), E a5
#define MUI_PARAMS_6(f, A, B, C, D, E, F) MUI_PARAMS_5(f, A, B, C, D, E), F a6
#define MUI_PARAMS_7(f, A, B, C, D, E, F, G)                                   \
    MUI_PARAMS_6(f, A, B, C, D, E, F), G a7
#define MUI_PARAMS_8(f, A, B, C, D, E, F, G, H)                                \
    MUI_PARAMS_7(f, A, B, C, D, E, F, G), H a8
#define MUI_FIELDS(...)                                                        \
    MUI_CAT(MUI_FIELDS_, MUI_COUNT(__VA_ARGS__))(__VA_ARGS__)
#define MUI_FIELDS_0(f)                   char unused;
#define MUI_FIELDS_1(f, A)                A a1;
#define MUI_FIELDS_2(f, A, B)             MUI_FIELDS_1(f, A) B a2;
#define MUI_FIELDS_3(f, A, B, C)          MUI_FIELDS_2(f, A, B) C a3;
#define MUI_FIELDS_4(f, A, B, C, D)       MUI_FIELDS_3(f, A, B, C) D a4;
#define MUI_FIELDS_5(f, A, B, C, D, E)    MUI_FIELDS_4(f, A, B, C, D) E a5;
#define MUI_FIELDS_6(f, A, B, C, D, E, F) MUI_FIELDS_5(f, A, B, C, D, E) F a6;
#define MUI_FIELDS_7(f, A, B, C, D, E, F, G)                                   \
    MUI_FIELDS_6(f, A, B, C, D, E, F) G a7;
#define MUI_FIELDS_8(f, A, B, C, D, E, F, G, H)                                \
    MUI_FIELDS_7(f, A, B, C, D, E, F, G) H a8;
#define MUI_NAMES(...) MUI_CAT(MUI_NAMES_, MUI_COUNT(__VA_ARGS__))
#define MUI_NAMES_0
#define MUI_NAMES_1      , a1
#define MUI_NAMES_2      MUI_NAMES_1, a2
#define MUI_NAMES_3      MUI_NAMES_2, a3
#define MUI_NAMES_4      MUI_NAMES_3, a4
#define MUI_NAMES_5      MUI_NAMES_4, a5
#define MUI_NAMES_6      MUI_NAMES_5, a6
#define MUI_NAMES_7      MUI_NAMES_6, a7
#define MUI_NAMES_8      MUI_NAMES_7, a8
#define MUI_LOAD(s, ...) MUI_CAT(MUI_LOAD_, MUI_COUNT(__VA_ARGS__))(s)
#define MUI_LOAD_0(s)
#define MUI_LOAD_1(s)     , s->a1
#define MUI_LOAD_2(s)     MUI_LOAD_1(s), s->a2
#define MUI_LOAD_3(s)     MUI_LOAD_2(s), s->a3
#define MUI_LOAD_4(s)     MUI_LOAD_3(s), s->a4
#define MUI_LOAD_5(s)     MUI_LOAD_4(s), s->a5
#define MUI_LOAD_6(s)     MUI_LOAD_5(s), s->a6
#define MUI_LOAD_7(s)     MUI_LOAD_6(s), s->a7
#define MUI_LOAD_8(s)     MUI_LOAD_7(s), s->a8
#define MUI_STORE(s, ...) MUI_CAT(MUI_STORE_, MUI_COUNT(__VA_ARGS__))(s)
#define MUI_STORE_0(s)    s->unused = 0
#define MUI_STORE_1(s)    s->a1 = a1
#define MUI_STORE_2(s)    MUI_STORE_1(s), s->a2 = a2
#define MUI_STORE_3(s)    MUI_STORE_2(s), s->a3 = a3
#define MUI_STORE_4(s)    MUI_STORE_3(s), s->a4 = a4
#define MUI_STORE_5(s)    MUI_STORE_4(s), s->a5 = a5
#define MUI_STORE_6(s)    MUI_STORE_5(s), s->a6 = a6
#define MUI_STORE_7(s)    MUI_STORE_6(s), s->a7 = a7
#define MUI_STORE_8(s)    MUI_STORE_7(s), s->a8 = a8

/* Fails to compile when a struct does not fit where it has to go. */
#define MUI_FITS(name, type, bytes)                                            \
    typedef char name[sizeof(type) <= (bytes) ? 1 : -1] MUI_UNUSED;

/* Parts shared by functions with and without a result. `f##_mu_slot` is a slot as
 * this function sees it; it may alias struct mu_job. */
#define MUI_FORK_PARTS(f, ...)                                                 \
    MUI_FITS(f##_mu_arguments_take_more_than_48_bytes, struct f##_mu_slot,     \
             sizeof(struct mu_job))                                            \
    MUI_FORK_INLINE void f##_mu_write(                                         \
        struct mu_job *j MUI_PARAMS(__VA_ARGS__))                              \
    {                                                                          \
        struct f##_mu_slot *s = MUI_CAST(struct f##_mu_slot *, j);             \
                                                                               \
        s->run = f##_mu_run;                                                   \
        MUI_STORE(s, __VA_ARGS__);                                             \
    }                                                                          \
    MUI_FORK_INLINE void f##_mu_fork(struct mu_job *j MUI_PARAMS(__VA_ARGS__)) \
    {                                                                          \
        f##_mu_write(j MUI_NAMES(__VA_ARGS__));                                \
        if (!MUI_LIKELY(mui_job_limit(j) != MUI_HUNGRY))                       \
            mu_job_feed(j);                                                    \
    }                                                                          \
    MUI_FORK_INLINE int f##_mu_submit(                                         \
        struct mu_team *team,                                                  \
        struct mu_ticket *ticket MUI_PARAMS(__VA_ARGS__))                      \
    {                                                                          \
        f##_mu_write(&ticket->job MUI_NAMES(__VA_ARGS__));                     \
        return mu_ticket_submit(team, ticket);                                 \
    }

#define MUI_SLOT_FIELDS                                                        \
    mu_job_fn run;                                                             \
    uint32_t state;                                                            \
    uint32_t base;

#define MU_FORKABLE(result, ...)                                               \
    MUI_APPLY(MUI_FORKABLE, result, MUI_FIRST(__VA_ARGS__, ), __VA_ARGS__)
#define MUI_FORKABLE(result, f, ...)                                           \
    struct __attribute__((may_alias)) f##_mu_slot {                            \
        MUI_SLOT_FIELDS                                                        \
        __extension__ union {                                                  \
            __extension__ struct {                                             \
                MUI_FIELDS(__VA_ARGS__)                                        \
            };                                                                 \
            result out;                                                        \
        };                                                                     \
    };                                                                         \
    MUI_UNUSED static void f##_mu_run(struct mu_job *self, struct mu_job *top) \
    {                                                                          \
        struct f##_mu_slot *s = MUI_CAST(struct f##_mu_slot *, self);          \
                                                                               \
        s->out = f(top MUI_LOAD(s, __VA_ARGS__));                              \
    }                                                                          \
    MUI_FORK_PARTS(f, __VA_ARGS__)                                             \
    MUI_FORK_INLINE int f##_mu_unfork(struct mu_job *j, result *ret)           \
    {                                                                          \
        struct f##_mu_slot *s = MUI_CAST(struct f##_mu_slot *, j);             \
                                                                               \
        if (MUI_LIKELY(MUI_CAST(uintptr_t, j) >= mui_job_limit(j)) ||          \
            mu_job_join(j, f##_mu_run))                                        \
            return 1;                                                          \
        *ret = s->out;                                                         \
        return 0;                                                              \
    }                                                                          \
    MUI_FORK_INLINE result f##_mu_join(struct mu_job *j)                       \
    {                                                                          \
        struct f##_mu_slot *s = MUI_CAST(struct f##_mu_slot *, j);             \
                                                                               \
        if (MUI_LIKELY(MUI_CAST(uintptr_t, j) >= mui_job_limit(j)) ||          \
            mu_job_join(j, f##_mu_run))                                        \
            return f(j MUI_LOAD(s, __VA_ARGS__));                              \
        return s->out;                                                         \
    }                                                                          \
    MUI_FORK_INLINE int f##_mu_join_status(struct mu_job *j, result *ret)      \
    {                                                                          \
        struct f##_mu_slot *s = MUI_CAST(struct f##_mu_slot *, j);             \
                                                                               \
        if (MUI_LIKELY(MUI_CAST(uintptr_t, j) >= mui_job_limit(j)) ||          \
            mu_job_join(j, f##_mu_run)) {                                      \
            *ret = f(j MUI_LOAD(s, __VA_ARGS__));                              \
            return 0;                                                          \
        }                                                                      \
        if (s->state == MUI_JOB_CANCELLED)                                     \
            return mu_job_status(j);                                           \
        *ret = s->out;                                                         \
        return 0;                                                              \
    }                                                                          \
    MUI_FORK_INLINE int f##_mu_wait(struct mu_ticket *ticket, result *ret)     \
    {                                                                          \
        struct f##_mu_slot *s = MUI_CAST(struct f##_mu_slot *, &ticket->job);  \
        int rc = mu_ticket_wait(ticket);                                       \
                                                                               \
        if (rc == 0 && ret)                                                    \
            *ret = s->out;                                                     \
        return rc;                                                             \
    }

#define MU_FORKABLE_VOID(...)                                                  \
    MUI_APPLY(MUI_FORKABLE_VOID, MUI_FIRST(__VA_ARGS__, ), __VA_ARGS__)
#define MUI_FORKABLE_VOID(f, ...)                                              \
    struct __attribute__((may_alias)) f##_mu_slot {                            \
        MUI_SLOT_FIELDS                                                        \
        MUI_FIELDS(__VA_ARGS__)                                                \
    };                                                                         \
    MUI_UNUSED static void f##_mu_run(struct mu_job *self, struct mu_job *top) \
    {                                                                          \
        struct f##_mu_slot *s = MUI_CAST(struct f##_mu_slot *, self);          \
                                                                               \
        (void)s;                                                               \
        f(top MUI_LOAD(s, __VA_ARGS__));                                       \
    }                                                                          \
    MUI_FORK_PARTS(f, __VA_ARGS__)                                             \
    MUI_FORK_INLINE int f##_mu_unfork(struct mu_job *j, void *unused)          \
    {                                                                          \
        (void)unused;                                                          \
        return MUI_LIKELY(MUI_CAST(uintptr_t, j) >= mui_job_limit(j)) ||       \
               mu_job_join(j, f##_mu_run);                                     \
    }                                                                          \
    MUI_FORK_INLINE void f##_mu_join(struct mu_job *j)                         \
    {                                                                          \
        struct f##_mu_slot *s = MUI_CAST(struct f##_mu_slot *, j);             \
                                                                               \
        (void)s;                                                               \
        if (MUI_LIKELY(MUI_CAST(uintptr_t, j) >= mui_job_limit(j)) ||          \
            mu_job_join(j, f##_mu_run))                                        \
            f(j MUI_LOAD(s, __VA_ARGS__));                                     \
    }                                                                          \
    MUI_FORK_INLINE int f##_mu_join_status(struct mu_job *j, void *unused)     \
    {                                                                          \
        struct f##_mu_slot *s = MUI_CAST(struct f##_mu_slot *, j);             \
                                                                               \
        (void)unused;                                                          \
        if (MUI_LIKELY(MUI_CAST(uintptr_t, j) >= mui_job_limit(j)) ||          \
            mu_job_join(j, f##_mu_run)) {                                      \
            f(j MUI_LOAD(s, __VA_ARGS__));                                     \
            return 0;                                                          \
        }                                                                      \
        return s->state == MUI_JOB_CANCELLED ? mu_job_status(j) : 0;           \
    }                                                                          \
    MUI_FORK_INLINE int f##_mu_wait(struct mu_ticket *ticket, void *unused)    \
    {                                                                          \
        (void)unused;                                                          \
        return mu_ticket_wait(ticket);                                         \
    }

#define MU_LOOP(...) MUI_APPLY(MUI_LOOP, MUI_FIRST(__VA_ARGS__, ), __VA_ARGS__)
#define MUI_LOOP(body, ...)                                                    \
    struct body##_mu_args {                                                    \
        MUI_FIELDS(__VA_ARGS__)                                                \
    };                                                                         \
    struct __attribute__((may_alias)) body##_mu_slot {                         \
        MUI_SLOT_FIELDS                                                        \
        size_t n;                                                              \
        struct body##_mu_args args;                                            \
    };                                                                         \
    MUI_UNUSED static void body##_mu_range(struct mu_job *top, size_t begin,   \
                                           size_t end, const void *args)       \
    {                                                                          \
        const struct body##_mu_args *a =                                       \
            MUI_CAST(const struct body##_mu_args *, args);                     \
                                                                               \
        (void)a;                                                               \
        body(top, begin, end MUI_LOAD(a, __VA_ARGS__));                        \
    }                                                                          \
    MUI_FORK_INLINE void body##_mu_for(struct mu_job *j, size_t begin,         \
                                       size_t end,                             \
                                       size_t grain MUI_PARAMS(__VA_ARGS__))   \
    {                                                                          \
        struct body##_mu_args args;                                            \
        struct body##_mu_args *a = &args;                                      \
                                                                               \
        MUI_STORE(a, __VA_ARGS__);                                             \
        mu_for_range(j, begin, end, grain, body##_mu_range, a);                \
    }                                                                          \
    MUI_UNUSED static void body##_mu_run(struct mu_job *self,                  \
                                         struct mu_job *top)                   \
    {                                                                          \
        struct body##_mu_slot *s = MUI_CAST(struct body##_mu_slot *, self);    \
        struct body##_mu_args args = s->args;                                  \
                                                                               \
        mu_for_range(top, 0, s->n, 0, body##_mu_range, &args);                 \
    }                                                                          \
    MUI_FORK_INLINE int body##_mu_many(struct mu_team *team,                   \
                                       struct mu_ticket *ticket,               \
                                       size_t n MUI_PARAMS(__VA_ARGS__))       \
    {                                                                          \
        struct body##_mu_slot *s =                                             \
            MUI_CAST(struct body##_mu_slot *, &ticket->job);                   \
        struct body##_mu_args *a = &s->args;                                   \
        typedef char body##_mu_arguments_take_more_than_40_bytes               \
            [sizeof *s <= sizeof ticket->job ? 1 : -1] MUI_UNUSED;             \
                                                                               \
        s->run = body##_mu_run;                                                \
        s->n = n;                                                              \
        MUI_STORE(a, __VA_ARGS__);                                             \
        return mu_ticket_submit(team, ticket);                                 \
    }

#define MU_REDUCIBLE(result, leaf_fn, ...)                                     \
    MUI_APPLY(MUI_REDUCIBLE, result, leaf_fn, MUI_FIRST(__VA_ARGS__, ),        \
              __VA_ARGS__)
#define MUI_REDUCIBLE(result, leaf_fn, combine_fn, ...)                        \
    struct leaf_fn##_mu_args {                                                 \
        MUI_FIELDS(__VA_ARGS__)                                                \
    };                                                                         \
    MUI_UNUSED static void leaf_fn##_mu_leaf(struct mu_job *top, size_t begin, \
                                             size_t end, const void *args,     \
                                             void *ret)                        \
    {                                                                          \
        const struct leaf_fn##_mu_args *a =                                    \
            MUI_CAST(const struct leaf_fn##_mu_args *, args);                  \
                                                                               \
        (void)a;                                                               \
        *MUI_CAST(result *, ret) =                                             \
            leaf_fn(top, begin, end MUI_LOAD(a, __VA_ARGS__));                 \
    }                                                                          \
    MUI_UNUSED static void leaf_fn##_mu_combine(void *left, const void *right) \
    {                                                                          \
        *MUI_CAST(result *, left) = combine_fn(                                \
            *MUI_CAST(result *, left), *MUI_CAST(const result *, right));      \
    }                                                                          \
    MUI_FORK_INLINE result leaf_fn##_mu_reduce(                                \
        struct mu_job *j, size_t begin, size_t end,                            \
        size_t grain MUI_PARAMS(__VA_ARGS__))                                  \
    {                                                                          \
        static const struct mui_reduction reduction = {                        \
            sizeof(result), leaf_fn##_mu_leaf, leaf_fn##_mu_combine};          \
        struct leaf_fn##_mu_args args;                                         \
        struct leaf_fn##_mu_args *a = &args;                                   \
        result out;                                                            \
                                                                               \
        MUI_STORE(a, __VA_ARGS__);                                             \
        mu_for_reduce_range(j, begin, end, grain, &reduction, a, &out);        \
        return out;                                                            \
    }

/* NOLINTEND(bugprone-macro-parentheses) */

#endif
