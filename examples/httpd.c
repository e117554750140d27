/* httpd.c: a static file server whose workers are threads, processes or both, by one
 * word.
 *
 *     httpd FOLDER PORT threads|processes|both [N] [--crash]
 *
 * The workers share one listening socket. A supervisor starts a worker again when it
 * crashes: under `processes` the connections of the others go on. SIGHUP restarts the
 * workers one by one, each after it has finished its connections; SIGTERM ends. With
 * --crash a GET of /crash crashes the worker that serves it, to see that. */
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
    int closes; /* after this answer */
    size_t n_in;
    size_t out_at;
    size_t n_out;
    char in[REQUEST_MAX];
    char out[SMALL_FILE + 512];
};

struct server {
    const struct setup *setup;
    int epoll_fd;
    unsigned n_connections;
};

static void connection_end(struct server *s, struct connection *c)
{
    if (c->file_fd >= 0)
        (void)close(c->file_fd);
    (void)close(c->fd);
    free(c);
    s->n_connections--;
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
        if (strcmp(method, "GET") == 0)
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
        s->n_connections++;
        if (epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0 ||
            connection_serve(s, c) < 0)
            connection_end(s, c);
    }
}

/* One event loop: serves until it is asked to end and has no connection left. */
static int serve(void *arg, size_t size)
{
    struct server s = {.setup = arg};
    struct epoll_event events[EVENTS_MAX];
    struct epoll_event ev = {.events = EPOLLIN | EPOLLEXCLUSIVE};
    int64_t last = MU_NEVER; /* when those who say nothing are left */

    (void)size;
    s.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (s.epoll_fd < 0 ||
        epoll_ctl(s.epoll_fd, EPOLL_CTL_ADD, s.setup->listen_fd, &ev) < 0)
        return 1;
    while (last == MU_NEVER || (s.n_connections > 0 && mu_now_ns() < last)) {
        int n = epoll_wait(s.epoll_fd, events, EVENTS_MAX, LOOK_MS);

        for (int i = 0; i < n; i++) {
            struct connection *c = events[i].data.ptr;

            if (!c)
                connections_accept(&s);
            else if (connection_serve(&s, c) < 0)
                connection_end(&s, c);
        }
        if (last == MU_NEVER && mu_worker_is_asked()) {
            (void)epoll_ctl(s.epoll_fd, EPOLL_CTL_DEL, s.setup->listen_fd,
                            NULL);
            last = mu_after_ns(1000000000);
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

static void tell(void *ctx, enum mu_event event, size_t i,
                 struct mu_worker *worker, const struct mu_worker_exit *how)
{
    char text[64];

    (void)ctx;
    (void)worker;
    if (event != MU_CHILD_ENDED)
        return;
    (void)mu_worker_describe(how, text, sizeof text);
    (void)printf("worker %zu %s\n", i, text);
    (void)fflush(stdout);
}

/* Look after the workers until SIGTERM. */
static int supervise(struct mu_supervisor *s, int n)
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
            /* each ends when its connections have; then it is started again */
            for (int i = 0; i < n; i++) {
                struct mu_worker *w = mu_supervisor_child(s, (size_t)i);

                if (w)
                    mu_worker_ask(w);
            }
        }
        rc = mu_supervisor_run(s, MU_NOW);
    }
    return 1;
}

int main(int argc, char **argv)
{
    struct mu_supervisor_options how = {
        .restarts_max = 1000, .period_ns = 1000000000, .event = tell};
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
    rc = supervise(s, n);
    mu_supervisor_free(s);
    return rc;
}
