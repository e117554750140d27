/* httpd.c: a static file server whose workers are threads, processes or both, by one
 * word.
 *
 *     httpd FOLDER PORT threads|processes|both [N] [--crash]
 *
 * The workers share one listening socket. A supervisor starts a worker again when it
 * crashes: under `processes` the connections of the others go on. SIGHUP restarts the
 * workers one after the other, each when it has finished its answers; SIGTERM ends. With
 * --crash a GET of /crash crashes the worker that serves it, and /worker names it, to
 * see that. */
// NOLINTNEXTLINE(readability-identifier-naming): memmem(), gettid()
#define _GNU_SOURCE 1

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <muster/muster.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    REQUEST_MAX = 8192,
    EVENTS_MAX = 64,
    SMALL_FILE = 65536, /* answered in one piece */
    WORKERS_MAX = 64,
    LOOK_MS = 100 /* how often a worker looks whether it is asked to end */
};

/* How long who is asked to end waits for connections that ask nothing, and for answers
 * that nobody fetches. */
#define IDLE_NS   INT64_C(1000000000)
#define ANSWER_NS INT64_C(60000000000)

struct setup {
    int listen_fd;
    int root_fd;
    int n_threads; /* in each process; 0: the worker serves itself */
    int may_crash;
};

struct connection {
    int fd;
    int file_fd; /* -1: none is being sent */
    off_t file_at;
    off_t file_end;
    int closes;              /* after this answer */
    struct connection *next; /* of the same server */
    struct connection **at;  /* what points to this one */
    size_t n_in;
    size_t out_at;
    size_t n_out;
    char in[REQUEST_MAX];
    char out[SMALL_FILE + 512];
};

struct server {
    const struct setup *setup;
    int epoll_fd;
    struct connection *first;
};

static void connection_end(struct connection *c)
{
    if (c->file_fd >= 0)
        (void)close(c->file_fd);
    (void)close(c->fd);
    *c->at = c->next;
    if (c->next)
        c->next->at = c->at;
    free(c);
}

static void answer_text(struct connection *c, const char *status)
{
    c->n_out = (size_t)snprintf(
        c->out, sizeof c->out,
        "HTTP/1.1 %s\r\nContent-Length: %zu\r\nContent-Type: text/plain\r\n"
        "%s\r\n%s\n",
        status, strlen(status) + 1, c->closes ? "Connection: close\r\n" : "",
        status);
}

static void answer_worker(struct connection *c)
{
    char text[32];

    (void)snprintf(text, sizeof text, "200 %d.%d", (int)getpid(),
                   (int)gettid());
    answer_text(c, text);
}

static const char *type_of(const char *path)
{
    const char *dot = strrchr(path, '.');

    if (dot && strcmp(dot, ".html") == 0)
        return "text/html";
    if (dot && strcmp(dot, ".txt") == 0)
        return "text/plain";
    return "application/octet-stream";
}

/* A path below the root: no way up, no empty name. */
static const char *path_below(char *target)
{
    char *end = strpbrk(target, "?#");

    if (end)
        *end = '\0';
    if (target[0] != '/' || strstr(target, ".."))
        return NULL;
    while (*target == '/')
        target++;
    return *target ? target : "index.html";
}

static void answer_file(const struct setup *setup, struct connection *c,
                        char *target)
{
    const char *path = path_below(target);
    struct stat st;
    ssize_t n = 0;
    int fd = path ? openat(setup->root_fd, path, O_RDONLY | O_CLOEXEC) : -1;

    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        if (fd >= 0)
            (void)close(fd);
        answer_text(c, "404 Not Found");
        return;
    }
    c->n_out = (size_t)snprintf(
        c->out, sizeof c->out,
        "HTTP/1.1 200 OK\r\nContent-Length: %lld\r\nContent-Type: %s\r\n%s\r\n",
        (long long)st.st_size, type_of(path),
        c->closes ? "Connection: close\r\n" : "");
    if (st.st_size <= SMALL_FILE)
        n = read(fd, c->out + c->n_out, (size_t)st.st_size);
    if (n > 0)
        c->n_out += (size_t)n;
    c->file_at = n > 0 ? n : 0;
    c->file_end = st.st_size;
    if (c->file_at < c->file_end)
        c->file_fd = fd;
    else
        (void)close(fd);
}

/* Answer the request at the start of the input, if it is whole. 1 when it was. */
static int request_take(const struct setup *setup, struct connection *c)
{
    char *end = memmem(c->in, c->n_in, "\r\n\r\n", 4);
    size_t size;
    char method[8];
    char target[1024];
    int minor;

    if (!end) {
        if (c->n_in == sizeof c->in) {
            c->closes = 1;
            answer_text(c, "431 Request Header Fields Too Large");
            return 1;
        }
        return 0;
    }
    *end = '\0';
    size = (size_t)(end + 4 - c->in);
    if (sscanf(c->in, "%7s %1023s HTTP/1.%d", method, target, &minor) != 3) {
        c->closes = 1;
        answer_text(c, "400 Bad Request");
    } else {
        /* who is asked to end still answers, and says that it is the last time */
        c->closes = minor == 0 || mu_worker_is_asked() ||
                    strcasestr(c->in, "\r\nConnection: close");
        if (setup->may_crash && strcmp(target, "/crash") == 0)
            abort();
        if (setup->may_crash && strcmp(target, "/worker") == 0)
            answer_worker(c);
        else if (strcmp(method, "GET") == 0)
            answer_file(setup, c, target);
        else
            answer_text(c, "405 Method Not Allowed");
    }
    memmove(c->in, c->in + size, c->n_in - size);
    c->n_in -= size;
    return 1;
}

/* Send what there is to send. 1: all; 0: later; -1: the end. */
static int answer_send(struct connection *c)
{
    while (c->out_at < c->n_out) {
        ssize_t n = send(c->fd, c->out + c->out_at, c->n_out - c->out_at,
                         MSG_NOSIGNAL | (c->file_fd >= 0 ? MSG_MORE : 0));

        if (n < 0)
            return errno == EAGAIN ? 0 : -1;
        c->out_at += (size_t)n;
    }
    while (c->file_fd >= 0) {
        ssize_t n = read(c->file_fd, c->out, SMALL_FILE);

        if (n <= 0) {
            (void)close(c->file_fd);
            c->file_fd = -1;
            return n < 0 || c->file_at < c->file_end ? -1 : 1;
        }
        c->file_at += n;
        c->out_at = 0;
        c->n_out = (size_t)n;
        while (c->out_at < c->n_out) {
            n = send(c->fd, c->out + c->out_at, c->n_out - c->out_at,
                     MSG_NOSIGNAL);
            if (n < 0)
                return errno == EAGAIN ? 0 : -1;
            c->out_at += (size_t)n;
        }
    }
    return 1;
}

/* Serve as far as it goes. 0; -1 when the connection has ended. */
static int connection_serve(struct server *s, struct connection *c)
{
    for (;;) {
        ssize_t n;
        int sent = answer_send(c);

        if (sent <= 0)
            return sent;
        c->out_at = c->n_out = 0;
        if (c->closes)
            return -1;
        if (request_take(s->setup, c))
            continue;
        n = recv(c->fd, c->in + c->n_in, sizeof c->in - c->n_in, 0);
        if (n == 0 || (n < 0 && errno != EAGAIN))
            return -1;
        if (n < 0)
            return 0;
        c->n_in += (size_t)n;
    }
}

static void connections_accept(struct server *s)
{
    for (;;) {
        struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLET};
        struct connection *c;
        int one = 1;
        int fd = accept4(s->setup->listen_fd, NULL, NULL,
                         SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd < 0)
            return;
        c = malloc(sizeof *c);
        if (!c) {
            (void)close(fd);
            return;
        }
        *c = (struct connection){.fd = fd, .file_fd = -1};
        ev.data.ptr = c;
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        c->next = s->first;
        c->at = &s->first;
        if (c->next)
            c->next->at = &c->next;
        s->first = c;
        if (epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0 ||
            connection_serve(s, c) < 0)
            connection_end(c);
    }
}

/* Leave those who have no request and no answer under way. */
static void idle_leave(struct server *s)
{
    struct connection *next;

    for (struct connection *c = s->first; c; c = next) {
        next = c->next;
        if (c->n_in == 0 && c->n_out == 0 && c->file_fd < 0)
            connection_end(c);
    }
}

/* Whether who was asked to end at `asked` may go. */
static int is_done(struct server *s, int64_t asked)
{
    int64_t now = mu_now_ns();

    if (now >= asked + IDLE_NS)
        idle_leave(s);
    return !s->first || now >= asked + ANSWER_NS;
}

/* One event loop: serves until it is asked to end and has answered. */
static int serve(void *arg, size_t size)
{
    struct server s = {.setup = arg};
    struct epoll_event events[EVENTS_MAX];
    struct epoll_event ev = {.events = EPOLLIN | EPOLLEXCLUSIVE};
    int64_t asked = 0; /* when it was asked to end */

    (void)size;
    s.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (s.epoll_fd < 0 ||
        epoll_ctl(s.epoll_fd, EPOLL_CTL_ADD, s.setup->listen_fd, &ev) < 0)
        return 1;
    while (asked == 0 || !is_done(&s, asked)) {
        int n = epoll_wait(s.epoll_fd, events, EVENTS_MAX, LOOK_MS);

        for (int i = 0; i < n; i++) {
            struct connection *c = events[i].data.ptr;

            if (!c)
                connections_accept(&s);
            else if (connection_serve(&s, c) < 0)
                connection_end(c);
        }
        if (asked == 0 && mu_worker_is_asked()) {
            (void)epoll_ctl(s.epoll_fd, EPOLL_CTL_DEL, s.setup->listen_fd,
                            NULL);
            asked = mu_now_ns();
        }
    }
    (void)close(s.epoll_fd);
    return 0;
}

/* A process of several threads, each with its own loop. */
static int serve_both(void *arg, size_t size)
{
    struct setup *setup = arg;
    struct mu_worker *threads[WORKERS_MAX];
    int n = 0;

    while (n < setup->n_threads &&
           mu_worker_start(NULL, serve, arg, size, &threads[n], NULL) == 0)
        n++;
    while (!mu_worker_is_asked())
        (void)poll(NULL, 0, LOOK_MS);
    for (int i = 0; i < n; i++)
        mu_worker_ask(threads[i]);
    for (int i = 0; i < n; i++)
        mu_worker_free(threads[i]);
    return 0;
}

static int listen_on(const char *port)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)atoi(port)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    int one = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof at) < 0 ||
        listen(fd, 1024) < 0 ||
        getsockname(fd, (struct sockaddr *)&at, &size) < 0) {
        (void)fprintf(stderr, "httpd: port %s: %s\n", port, strerror(errno));
        exit(1);
    }
    (void)printf("listening on 127.0.0.1:%u\n", ntohs(at.sin_port));
    (void)fflush(stdout);
    return fd;
}

/* Which worker is to be restarted next, while that goes on. */
struct turn {
    size_t next;
    int goes_on;
};

static void tell(void *ctx, enum mu_event event, size_t i,
                 struct mu_worker *worker, const struct mu_worker_exit *how)
{
    struct turn *turn = ctx;
    char text[64];

    (void)worker;
    if (event == MU_CHILD_STARTED && turn->goes_on && i == turn->next)
        turn->next++;
    if (event != MU_CHILD_ENDED)
        return;
    (void)mu_worker_describe(how, text, sizeof text);
    (void)printf("worker %zu %s\n", i, text);
    (void)fflush(stdout);
}

/* Ask the next worker to end, so that it is started again. */
static void turn_go_on(struct turn *turn, struct mu_supervisor *s, size_t n)
{
    struct mu_worker *w = mu_supervisor_child(s, turn->next);

    turn->goes_on = turn->next < n;
    if (turn->goes_on && w)
        mu_worker_ask(w);
}

/* Look after the workers until SIGTERM. */
static int supervise(struct mu_supervisor *s, struct turn *turn, size_t n)
{
    sigset_t signals;
    struct pollfd fds[2];
    struct signalfd_siginfo info;
    int rc = MU_TIMEOUT;

    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGHUP);
    (void)sigaddset(&signals, SIGTERM);
    (void)sigaddset(&signals, SIGINT);
    fds[0] = (struct pollfd){.fd = signalfd(-1, &signals, SFD_CLOEXEC),
                             .events = POLLIN};
    fds[1] = (struct pollfd){.fd = mu_supervisor_fd(s), .events = POLLIN};
    while (rc == MU_TIMEOUT) {
        if (poll(fds, 2, -1) < 0)
            continue;
        if (fds[0].revents &&
            read(fds[0].fd, &info, sizeof info) == (ssize_t)sizeof info) {
            if (info.ssi_signo != SIGHUP)
                return mu_supervisor_stop(s) != 0;
            *turn = (struct turn){.next = 0, .goes_on = 1};
        }
        rc = mu_supervisor_run(s, MU_NOW);
        if (turn->goes_on)
            turn_go_on(turn, s, n);
    }
    return 1;
}

int main(int argc, char **argv)
{
    struct turn turn = {.goes_on = 0};
    struct mu_supervisor_options how = {.restarts_max = 1000,
                                        .period_ns = 1000000000,
                                        .event = tell,
                                        .event_ctx = &turn};
    struct mu_child children[WORKERS_MAX] = {{.fn = NULL}};
    struct setup setup = {.n_threads = 0};
    struct mu_supervisor *s;
    struct mu_error err;
    sigset_t signals;
    int is_both;
    int n;
    int rc;

    if (argc < 4) {
        (void)fprintf(stderr, "usage: httpd FOLDER PORT threads|processes|both "
                              "[N] [--crash]\n");
        return 2;
    }
    is_both = strcmp(argv[3], "both") == 0;
    n = argc > 4 ? atoi(argv[4]) : 0;
    if (n < 1 || n > WORKERS_MAX)
        n = (int)mu_usable_cpus();
    setup.may_crash = strcmp(argv[argc - 1], "--crash") == 0;
    setup.n_threads = 2;
    setup.root_fd = open(argv[1], O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (setup.root_fd < 0) {
        (void)fprintf(stderr, "httpd: %s: %s\n", argv[1], strerror(errno));
        return 1;
    }
    setup.listen_fd = listen_on(argv[2]);
    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGHUP);
    (void)sigaddset(&signals, SIGTERM);
    (void)sigaddset(&signals, SIGINT);
    (void)sigprocmask(SIG_BLOCK, &signals, NULL);
    if (is_both)
        n = (n + 1) / 2;
    for (int i = 0; i < n; i++)
        children[i] = (struct mu_child){
            .fn = is_both ? serve_both : serve,
            .arg = &setup,
            .arg_size = sizeof setup,
            .options = {.kind = strcmp(argv[3], "threads") == 0
                                    ? MU_WORKER_THREAD
                                    : MU_WORKER_PROCESS,
                        .name = "httpd-worker"}};
    rc = mu_supervisor_start(&how, children, (size_t)n, &s, &err);
    if (rc != 0) {
        (void)fprintf(stderr, "httpd: %s\n", err.text);
        return 1;
    }
    rc = supervise(s, &turn, (size_t)n);
    mu_supervisor_free(s);
    return rc;
}
