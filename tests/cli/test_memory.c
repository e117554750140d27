/* test_memory.c: an input for which the pool finds no memory waits for what is under way,
 * and fails alone when nothing is; one that there is no memory to read ends the reading,
 * and nothing that was read before. */
#include <fcntl.h>
#include <limits.h>
#include <string.h>

#include "muster/init.h"
#include "muster/pool.h"

#include "commands.h"
#include "flight.h"
#include "support/check.h"

enum { N_INPUTS = 5, TEXT_BYTES = 4096 };

static const char *const models[] = {"serial", "threads:2", "processes:2"};
enum { N_MODELS = sizeof models / sizeof models[0] };

/* Which input finds no memory, and how often: of the child that runs. */
static uint64_t poor_tag;
static unsigned n_poor;
/* What no buffer grows beyond; of the child that runs. */
static size_t most_bytes = SIZE_MAX;

/* the linker's names: NOLINTBEGIN(readability-identifier-naming) */
int __real_mu_pool_submit(struct mu_pool *pool, mu_task_fn fn,
                          const void *input, size_t input_size,
                          const struct mu_submit *how, uint64_t *ret_id);
int __wrap_mu_pool_submit(struct mu_pool *pool, mu_task_fn fn,
                          const void *input, size_t input_size,
                          const struct mu_submit *how, uint64_t *ret_id);

int __wrap_mu_pool_submit(struct mu_pool *pool, mu_task_fn fn,
                          const void *input, size_t input_size,
                          const struct mu_submit *how, uint64_t *ret_id)
{
    if (how->tag == poor_tag && n_poor) {
        n_poor--;
        return -ENOMEM;
    }
    return __real_mu_pool_submit(pool, fn, input, input_size, how, ret_id);
}

int __real_mu_pool_next_many(struct mu_pool *pool, int64_t deadline,
                             struct mu_outcome **outcomes, size_t n_max,
                             size_t *ret_n);
int __wrap_mu_pool_next_many(struct mu_pool *pool, int64_t deadline,
                             struct mu_outcome **outcomes, size_t n_max,
                             size_t *ret_n);

/* One outcome at a time: were all that is under way taken at once, nothing would be when
 * the next input finds no memory. */
int __wrap_mu_pool_next_many(struct mu_pool *pool, int64_t deadline,
                             struct mu_outcome **outcomes, size_t n_max,
                             size_t *ret_n)
{
    return __real_mu_pool_next_many(pool, deadline, outcomes, n_max > 0, ret_n);
}

int __real_text_try_reserve(struct text *t, size_t size);
int __wrap_text_try_reserve(struct text *t, size_t size);
int __real_text_try_append(struct text *t, const void *bytes, size_t size);
int __wrap_text_try_append(struct text *t, const void *bytes, size_t size);

int __wrap_text_try_reserve(struct text *t, size_t size)
{
    if (t->size + size > most_bytes)
        return -ENOMEM;
    return __real_text_try_reserve(t, size);
}

int __wrap_text_try_append(struct text *t, const void *bytes, size_t size)
{
    if (t->size + size > most_bytes)
        return -ENOMEM;
    return __real_text_try_append(t, bytes, size);
}
/* NOLINTEND(readability-identifier-naming) */

/* What a run said and how it ended. */
struct said {
    char out[TEXT_BYTES];
    char err[TEXT_BYTES];
    int status;
};

static void read_back(int fd, char *text)
{
    ssize_t n = pread(fd, text, TEXT_BYTES - 1, 0);

    assert_true(n >= 0);
    text[n] = '\0';
    assert_int_equal(close(fd), 0);
}

/* Run it in a child, where input `tag` finds no memory `n` times, and no buffer more than
 * `most`; `in` is its standard input. */
static struct said run_words(int argc, char **argv, int in, uint64_t tag,
                             unsigned n, size_t most)
{
    int out = memfd_create("out", MFD_CLOEXEC);
    int err = memfd_create("err", MFD_CLOEXEC);
    struct said said;
    pid_t child;

    assert_true(out >= 0 && err >= 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        poor_tag = tag;
        n_poor = n;
        most_bytes = most;
        if (dup2(in, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0 ||
            dup2(err, STDERR_FILENO) < 0 || mu_init(NULL) < 0)
            _exit(254);
        _exit(command_map(argc, argv));
    }
    assert_int_equal(waitpid(child, &said.status, 0), child);
    read_back(out, said.out);
    read_back(err, said.err);
    assert_true(WIFEXITED(said.status));
    said.status = WEXITSTATUS(said.status);
    return said;
}

/* `muster map -k` over five inputs, of which that with `tag` finds no memory `n` times. */
static struct said run(const char *model, uint64_t tag, unsigned n)
{
    char *argv[] = {(char *)"map", (char *)"-k", (char *)"--model",
                    (char *)model, (char *)"--", (char *)"echo",
                    (char *)":::", (char *)"a",  (char *)"b",
                    (char *)"c",   (char *)"d",  (char *)"e",
                    NULL};

    return run_words(7 + N_INPUTS, argv, STDIN_FILENO, tag, n, SIZE_MAX);
}

static void what_finds_none_for_now_is_tried_again(void **state)
{
    (void)state;
    for (int i = 0; i < N_MODELS; i++)
        for (uint64_t tag = 2; tag <= N_INPUTS; tag++) {
            struct said said = run(models[i], tag, 1);

            assert_string_equal(said.out, "a\nb\nc\nd\ne\n");
            assert_non_null(strstr(said.err, "muster: 5 done in"));
            assert_int_equal(said.status, 0);
        }
}

static void what_finds_none_at_all_fails_alone(void **state)
{
    (void)state;
    for (int i = 0; i < N_MODELS; i++)
        for (uint64_t tag = 1; tag <= N_INPUTS; tag++) {
            struct said said = run(models[i], tag, UINT_MAX);
            char out[] = "a\nb\nc\nd\ne\n";
            char err[128];
            size_t at = 2 * (size_t)(tag - 1);

            (void)snprintf(err, sizeof err,
                           "muster: input %d, '%c', failed: could not be run: "
                           "Cannot allocate memory: ",
                           (int)tag, out[at]);
            memmove(out + at, out + at + 2, sizeof out - at - 2);
            assert_string_equal(said.out, out);
            assert_non_null(strstr(said.err, err));
            assert_non_null(strstr(said.err, "muster: 4 done, 1 failed in"));
            assert_int_equal(said.status, 1);
        }
}

/* Two short lines, two long ones, and one more. */
static int long_lines(size_t line_bytes)
{
    char *line = malloc(line_bytes);
    int fd = memfd_create("lines", MFD_CLOEXEC);

    assert_true(line && fd >= 0);
    memset(line, 'x', line_bytes);
    line[line_bytes - 1] = '\n';
    assert_int_equal(write(fd, "a\nb\n", 4), 4);
    for (int i = 0; i < 2; i++)
        assert_int_equal(write(fd, line, line_bytes), line_bytes);
    assert_int_equal(write(fd, "c\n", 2), 2);
    free(line);
    return fd;
}

/* Its name: who opens that reads from the start. */
static char *name_of(int fd, char *name, size_t size)
{
    (void)snprintf(name, size, "/proc/%d/fd/%d", (int)getpid(), fd);
    return name;
}

/* As a pipe gives it: by another process. */
static int piped(const char *name)
{
    int fds[2];

    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    if (fork() == 0) {
        (void)dup2(fds[1], STDOUT_FILENO);
        (void)execlp("cat", "cat", name, (char *)NULL);
        _exit(127);
    }
    assert_int_equal(close(fds[1]), 0);
    return fds[0];
}

static void what_cannot_be_read_ends_the_reading(void **state)
{
    /* of a pipe 1 MiB and a little is read ahead besides */
    enum { LINE = 5 << 19, MOST = 4 << 20 };
    static const struct {
        size_t line_bytes;
        const char *option;
        const char *other; /* a source besides */
        const char *input; /* which it is */
        const char *out;
    } cases[] = {
        {2 * LINE, "-k", NULL, "3", "a\nb\n"},
        {LINE, "-kn2", NULL, "2", "a b\n"},
        {2 * LINE, "-kC,", NULL, "3", "a\nb\n"},
        {2 * LINE, "-k", "y", "3", "a y\nb y\n"},
    };
    char name[64];

    (void)state;
    for (unsigned i = 0; i < sizeof cases / sizeof *cases * N_MODELS * 2; i++) {
        unsigned i_case = i / 2 / N_MODELS;
        int is_piped = i % 2;
        int fd = long_lines(cases[i_case].line_bytes);
        char *file = name_of(fd, name, sizeof name);
        int in = is_piped ? piped(file) : STDIN_FILENO;
        char *argv[] = {(char *)"map",
                        (char *)cases[i_case].option,
                        (char *)"--model",
                        (char *)models[i / 2 % N_MODELS],
                        (char *)"--",
                        (char *)"echo",
                        (char *)"::::",
                        is_piped ? (char *)"-" : file,
                        (char *)":::",
                        (char *)cases[i_case].other,
                        NULL};
        struct said said =
            run_words(cases[i_case].other ? 10 : 8, argv, in, 0, 0, MOST);
        char why[64];

        (void)snprintf(why, sizeof why, "no memory to read input %s,",
                       cases[i_case].input);
        if (!strstr(said.err, why))
            fail_msg("case %u: %s", i_case, said.err);
        assert_non_null(strstr(said.err, " done in "));
        assert_string_equal(said.out, cases[i_case].out);
        assert_int_equal(said.status, 255);
        if (is_piped) {
            assert_int_equal(close(in), 0);
            assert_true(wait(NULL) > 0);
        }
        assert_int_equal(close(fd), 0);
    }
}

/* Of a flight that has ended no long name is kept. */
static void long_names_are_given_back(void **state)
{
    static const char name[64 * 1024];
    struct flights f = {0};
    struct flight *flight = flights_add(&f, 1);

    (void)state;
    text_append(&flight->name, name, sizeof name);
    flights_remove(&f, flight);
    assert_ptr_equal(flights_add(&f, 2), flight);
    assert_true(flight->name.capacity < sizeof name);
    assert_int_equal(flight->name.size, 0);
    flights_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_finds_none_for_now_is_tried_again),
        cmocka_unit_test(what_finds_none_at_all_fails_alone),
        cmocka_unit_test(what_cannot_be_read_ends_the_reading),
        cmocka_unit_test(long_names_are_given_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
