/* command.c: the task that runs a command and gathers what it prints.
 *
 * Both pipes keep a writing end here, so that their end is never seen: what ends
 * the wait is the process itself, in one wake-up, and a background process that
 * keeps the pipes open delays nobody. */
#include "command.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "program.h"
#include "say.h"
#include "text.h"

enum {
    READ_BYTES = 64 * 1024,
    DRAIN_READS_MAX = 64,
    LOOK_MS = 100, /* how often a waiting task looks whether it is cancelled */
    CODE_NOT_FOUND = 127,
    CODE_NOT_RUN = 126
};
#define RESULT_MAGIC UINT64_C(0x6d7573746572636d)
#define NS_PER_MS    INT64_C(1000000)

/* How GNU parallel ends a job: a signal, then how long it may take. */
static const struct {
    int signal;
    int64_t wait_ms;
} endings[] = {{SIGTERM, 200}, {SIGTERM, 100}, {SIGTERM, 50}, {SIGKILL, 25}};
enum { N_ENDINGS = sizeof endings / sizeof endings[0] };

struct job {
    struct mu_task *task;
    const struct command_config *config;
    const struct template *template;
    char **argv;
    char **envp;
    int input;         /* its standard input */
    const char *lacks; /* what could not be opened for it; NULL: nothing */
    int out[2];
    int err[2];
    pid_t worker; /* this process */
    pid_t pid;
    int pidfd;
    int exec_errno; /* written by the child, whose memory is ours until exec */
    struct text errors;
    int output_rc; /* why output could not be kept */
    size_t i_ending;
    int64_t next_ending; /* when the next signal is due */
    struct command_result result;
};

int64_t command_now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* The words in `words`, as an array that ends with NULL. */
static char **make_argv(const struct template *t, struct text *words)
{
    const char *end = words->data + words->size;
    char *word = words->data;
    char **argv;
    size_t n = 0;

    for (const char *c = word; c < end; c += strlen(c) + 1)
        n++;
    argv = text_alloc(n + 4, sizeof *argv);
    n = 0;
    if (t->kind != TEMPLATE_ARGV) {
        argv[n++] = (char *)"sh";
        argv[n++] = (char *)"-c";
        argv[n++] = (char *)"--"; /* a line may begin with '-' or '+' */
        argv[n++] = word;
        return argv;
    }
    for (; word < end; word += strlen(word) + 1)
        argv[n++] = word;
    return argv;
}

void command_note_given(struct command_config *config)
{
    config->pid = getpid();
    memset(config->given, 0, sizeof config->given);
    for (int fd = STDERR_FILENO + 1; fd < COMMAND_GIVEN_MAX; fd++) {
        int flags = fcntl(fd, F_GETFD);

        /* all that we open is closed by exec() */
        if (flags >= 0 && !(flags & FD_CLOEXEC))
            config->given[fd / 64] |= UINT64_C(1) << fd % 64;
    }
}

static int is_given(const struct command_config *config, unsigned long fd)
{
    return fd < COMMAND_GIVEN_MAX && config->given[fd / 64] >> fd % 64 & 1;
}

/* A value of an input or a word of a command: the name of a descriptor, as a shell gives
 * it for <(command), becomes one that reaches it from another process. */
static void put_reached(const struct command_config *config, const char *value,
                        size_t size, struct text *ret)
{
    static const char *const names[] = {"/dev/fd/", "/proc/self/fd/"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        size_t n = strlen(names[i]);

        if (size <= n || memcmp(value, names[i], n) != 0 ||
            strspn(value + n, "0123456789") != size - n ||
            !is_given(config, strtoul(value + n, NULL, 10)))
            continue;
        text_printf(ret, "/proc/%d/fd/%.*s", (int)config->pid, (int)(size - n),
                    value + n);
        return;
    }
    text_append(ret, value, size);
}

/* The same for several, each of which ends at a byte of 0; there is one behind `size`
 * too. */
static void reach_descriptors(const struct command_config *config,
                              const char *values, size_t size, struct text *ret)
{
    const char *end = values + size;

    for (;;) {
        size_t n = strlen(values);

        put_reached(config, values, n, ret);
        values += n;
        if (values >= end)
            return;
        text_putc(ret, '\0');
        values++;
    }
}

/* The words of the command, or its line. A worker that is a process has none of the
 * descriptors that were opened for the command that runs all. */
static void fill_words(const struct command_config *config,
                       const struct template *t, struct template_values v,
                       struct text *ret_words)
{
    struct text input = {0};
    struct text words = {0};

    if (getpid() == (pid_t)config->pid) {
        template_fill(t, &v, ret_words);
        return;
    }
    /* in a line /dev/fd/5 may be the shell's own, but not as a value */
    if (t->kind != TEMPLATE_ARGV) {
        reach_descriptors(config, v.input, v.input_size, &input);
        v.input = text_string(&input);
        v.input_size = input.size;
        template_fill(t, &v, ret_words);
    } else {
        template_fill(t, &v, &words);
        reach_descriptors(config, text_string(&words), words.size, ret_words);
    }
    text_fini(&input);
    text_fini(&words);
}

static const char seq_variable[] = "PARALLEL_SEQ=";
static const char slot_variable[] = "PARALLEL_JOBSLOT=";

static int is_set_here(const char *entry)
{
    return strncmp(entry, seq_variable, sizeof seq_variable - 1) == 0 ||
           strncmp(entry, slot_variable, sizeof slot_variable - 1) == 0;
}

/* Our environment with two variables set; `text` holds their bytes. */
static char **make_envp(const struct template_values *v, struct text *text)
{
    size_t n = 0;
    char **envp;

    while (environ[n])
        n++;
    envp = text_alloc(n + 3, sizeof *envp);
    n = 0;
    for (char **entry = environ; *entry; entry++)
        if (!is_set_here(*entry)) /* by whoever runs us */
            envp[n++] = *entry;
    (void)text_reserve(text, 96); /* so that the first string stays in place */
    text_printf(text, "%s%llu", seq_variable, (unsigned long long)v->seq);
    envp[n] = text->data;
    text_putc(text, '\0');
    envp[n + 1] = text->data + text->size;
    text_printf(text, "%s%u", slot_variable, v->slot);
    return envp;
}

/* Between vfork and exec: signal-safe calls only, and the memory is the
 * worker's. */
static _Noreturn void run_in_child(struct job *j, const char *program)
{
    static const int reset[] = {SIGINT, SIGQUIT, SIGPIPE, SIGTERM};
    struct sigaction action = {.sa_handler = SIG_DFL};
    sigset_t none;

    for (size_t i = 0; i < sizeof reset / sizeof reset[0]; i++)
        (void)sigaction(reset[i], &action, NULL);
    (void)setpgid(0, 0);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != j->worker)
        _exit(CODE_NOT_RUN); /* it died before it was asked for the signal */
    if (dup2(j->input, STDIN_FILENO) < 0 ||
        dup2(j->out[1], STDOUT_FILENO) < 0 ||
        dup2(j->err[1], STDERR_FILENO) < 0)
        goto fail;
    (void)sigemptyset(&none);
    (void)pthread_sigmask(SIG_SETMASK, &none, NULL);
    /* also with a path: a script without a first line "#!" is the shell's */
    (void)execvpe(program, j->argv, j->envp);
fail:
    j->exec_errno = errno;
    _exit(CODE_NOT_FOUND);
}

static int start(struct job *j)
{
    const char *program = template_program(j->template);
    sigset_t all;
    sigset_t before;
    pid_t pid;

    if (!program)
        program = j->template->kind == TEMPLATE_ARGV ? j->argv[0] : "/bin/sh";
    j->result.start_ns = command_now_ns();
    j->result.run_ns = -mu_now_ns();

    /* posix_spawn cannot ask for a signal at our death, fork would copy the
     * page tables; with all signals blocked no handler runs in shared memory */
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    pid = vfork(); // NOLINT(clang-analyzer-security.insecureAPI.vfork): above
    if (pid == 0)
        run_in_child(j, program); // NOLINT(clang-analyzer-unix.Vfork): safe
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (pid < 0)
        return -errno;
    j->pid = pid;
    j->pidfd = pidfd_open(j->pid, 0);
    return 0;
}

/* Of a task that ends as failed for it nothing is kept. */
static void keep(struct job *j, int is_error, const void *bytes, size_t size)
{
    int rc = is_error ? text_try_append(&j->errors, bytes, size)
                      : mu_task_write(j->task, bytes, size);

    if (rc < 0) {
        j->output_rc = rc;
        text_fini(&j->errors);
    } else if (!is_error) {
        j->result.stdout_size += size;
    }
}

static void read_once(struct job *j, int fd)
{
    char bytes[READ_BYTES];
    ssize_t size = read(fd, bytes, sizeof bytes);

    if (size > 0 && !j->output_rc)
        keep(j, fd == j->err[0], bytes, (size_t)size);
}

static void drain(struct job *j, int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    for (int i = 0; i < DRAIN_READS_MAX && poll(&p, 1, 0) > 0; i++)
        read_once(j, fd);
}

/* Begin or go on to end the command: the next signal, when it is due. */
static void end_step(struct job *j, int64_t now)
{
    if (j->i_ending == N_ENDINGS || now < j->next_ending)
        return;
    (void)kill(-j->pid, endings[j->i_ending].signal);
    j->next_ending = now + endings[j->i_ending].wait_ms * NS_PER_MS;
    j->i_ending++;
}

/* Whether the command has to end, and why. */
static int must_end(struct job *j, int64_t now)
{
    int64_t limit = j->config->timeout_ns;

    if (limit && now + j->result.run_ns >= limit)
        j->result.is_timed_out |= !j->result.is_cancelled;
    else if (mu_task_is_cancelled(j->task) || j->output_rc)
        j->result.is_cancelled |= !j->result.is_timed_out;
    return j->result.is_timed_out || j->result.is_cancelled;
}

static int wait_ms(const struct job *j, int64_t now)
{
    int64_t until = now + LOOK_MS * NS_PER_MS;
    int64_t limit = j->config->timeout_ns;

    if (limit && !j->result.is_timed_out && limit - j->result.run_ns < until)
        until = limit - j->result.run_ns;
    if (j->next_ending && j->next_ending < until)
        until = j->next_ending;
    return until <= now ? 0 : (int)((until - now + NS_PER_MS - 1) / NS_PER_MS);
}

static void wait_for_end(struct job *j)
{
    struct pollfd p[] = {
        {.fd = j->out[0], .events = POLLIN},
        {.fd = j->err[0], .events = POLLIN},
        {.fd = j->pidfd, .events = POLLIN},
    };
    siginfo_t info = {0};

    do {
        int64_t now = mu_now_ns();

        if (must_end(j, now))
            end_step(j, now);
        if (poll(p, 3, wait_ms(j, now)) <= 0)
            continue;
        if (p[0].revents)
            read_once(j, j->out[0]);
        if (p[1].revents)
            read_once(j, j->err[0]);
    } while (!(p[2].revents & POLLIN));
    while (waitid(P_PID, (id_t)j->pid, &info, WEXITED) < 0 && errno == EINTR)
        ;
    j->result.run_ns += mu_now_ns();
    drain(j, j->out[0]);
    drain(j, j->err[0]);
    /* what the group left behind when it had to end */
    if (j->i_ending)
        (void)kill(-j->pid, SIGKILL);

    if (info.si_code == CLD_EXITED)
        j->result.code = info.si_status;
    else
        j->result.signal = info.si_status;
}

static int open_nothing(struct job *j)
{
    static const char nothing[] = "/dev/null";

    j->input = open(nothing, O_RDONLY | O_CLOEXEC);
    if (j->input >= 0)
        return 0;
    j->lacks = nothing;
    return -errno;
}

/* The input's bytes as a file to read from its start. */
static int open_input(struct job *j)
{
    size_t size;
    const char *bytes = mu_task_input(j->task, &size);

    j->input = memfd_create("muster-input", MFD_CLOEXEC);
    if (j->input < 0)
        return -errno;
    while (size) {
        ssize_t n = write(j->input, bytes, size);

        if (n < 0)
            return -errno;
        bytes += n;
        size -= (size_t)n;
    }
    return lseek(j->input, 0, SEEK_SET) < 0 ? -errno : 0;
}

/* Why it could not be run, as its standard error. */
static void put_refusal(struct job *j, const char *program)
{
    struct text interpreter = {0};

    if (j->exec_errno == ENOENT && !j->lacks && strchr(program, '/') &&
        program_lacks_interpreter(program, &interpreter))
        text_printf(&j->errors, "muster: " PROGRAM_NO_INTERPRETER "\n", program,
                    interpreter.data);
    else
        text_printf(&j->errors, "muster: cannot run %s: %s%s%s\n", program,
                    j->lacks ? j->lacks : "", j->lacks ? ": " : "",
                    say_reason(j->exec_errno));
    text_fini(&interpreter);
}

static int finish(struct job *j, const char *program)
{
    struct command_result *r = &j->result;
    int rc;

    if (j->exec_errno) {
        put_refusal(j, program);
        r->code = j->exec_errno == ENOENT && !j->lacks ? CODE_NOT_FOUND
                                                       : CODE_NOT_RUN;
    }
    if (j->output_rc)
        return j->output_rc;
    r->magic = RESULT_MAGIC;
    r->stderr_size = j->errors.size;
    rc = mu_task_write(j->task, text_string(&j->errors), j->errors.size);
    if (rc == 0)
        rc = mu_task_write(j->task, r, sizeof *r);
    if (rc < 0)
        return rc;
    return r->signal ? 128 + r->signal : r->code;
}

/* 0, or -errno: nothing of the command has run, or it was killed as it began. */
static int launch(struct job *j)
{
    int rc;

    if (pipe2(j->out, O_CLOEXEC) < 0 || pipe2(j->err, O_CLOEXEC) < 0)
        return -errno;
    rc = j->config->feeds ? open_input(j) : open_nothing(j);
    if (rc == 0)
        rc = start(j);
    if (rc)
        return rc;
    if (j->pidfd < 0) {
        (void)kill(j->pid, SIGKILL);
        (void)waitpid(j->pid, NULL, 0);
        return -EMFILE;
    }
    return 0;
}

static int run(struct job *j)
{
    int rc = launch(j);

    if (rc < 0) {
        j->exec_errno = -rc;
        j->result.start_ns = command_now_ns();
        j->result.run_ns = 0;
    } else
        wait_for_end(j);
    return finish(j, j->argv[0]);
}

static void close_all(const struct job *j)
{
    const int fds[] = {j->input,  j->out[0], j->out[1],
                       j->err[0], j->err[1], j->pidfd};

    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++)
        if (fds[i] >= 0)
            (void)close(fds[i]);
}

int command_task(struct mu_task *task)
{
    const struct command_config *config = mu_task_arg(task, NULL);
    struct job j = {
        .task = task,
        .config = config,
        .template = (const struct template *)(config + 1),
        .worker = getpid(),
        .input = -1,
        .out = {-1, -1},
        .err = {-1, -1},
        .pidfd = -1,
    };
    struct template_values v = {
        .seq = mu_task_tag(task),
        .slot = mu_task_worker(task) + 1,
    };
    struct text words = {0};
    struct text variables = {0};
    int rc;

    if (!config->feeds)
        v.input = mu_task_input(task, &v.input_size);
    else
        v.input = "";
    fill_words(config, j.template, v, &words);
    j.argv = make_argv(j.template, &words);
    j.envp = make_envp(&v, &variables);
    rc = run(&j);
    close_all(&j);
    free(j.argv);
    free(j.envp);
    text_fini(&words);
    text_fini(&variables);
    text_fini(&j.errors);
    return rc;
}

int command_result_read(const void *output, size_t output_size,
                        struct command_result *ret_result)
{
    struct command_result r;

    if (output_size < sizeof r)
        return -1;
    memcpy(&r, (const char *)output + output_size - sizeof r, sizeof r);
    output_size -= sizeof r;
    if (r.magic != RESULT_MAGIC || r.stdout_size > output_size ||
        r.stderr_size != output_size - r.stdout_size)
        return -1;
    *ret_result = r;
    return 0;
}
