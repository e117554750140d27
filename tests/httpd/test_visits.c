/* test_visits.c: what the visitors of examples/httpd.c see of a handler that crashes and
 * of a restart: the connections of the others go on, answers are finished, and somebody
 * always serves. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "support/check.h"

enum { N_VISITORS = 64, LONG_FILE = 64 << 20, TEXT_MAX = 4096 };

struct site {
    char folder[64];
    pid_t pid;
    FILE *said;
    int port;
};

static struct site site_open(const char *kind)
{
    struct site s = {.folder = "/tmp/muster-httpd-XXXXXX"};
    char path[96];
    char line[128];
    char *colon;
    int ends[2];
    int fd;

    assert_non_null(mkdtemp(s.folder));
    (void)snprintf(path, sizeof path, "%s/long", s.folder);
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, LONG_FILE), 0);
    (void)close(fd);
    assert_int_equal(pipe(ends), 0);
    s.pid = fork();
    if (s.pid == 0) {
        (void)dup2(ends[1], STDOUT_FILENO);
        (void)close(ends[0]);
        (void)close(ends[1]);
        (void)execl(HTTPD, HTTPD, s.folder, "0", kind, "2", "--crash", NULL);
        _exit(127);
    }
    (void)close(ends[1]);
    s.said = fdopen(ends[0], "r");
    assert_non_null(fgets(line, sizeof line, s.said));
    colon = strrchr(line, ':');
    assert_non_null(colon);
    s.port = atoi(colon + 1);
    return s;
}

static void site_close(struct site *s)
{
    char path[96];

    (void)test_kill(s->pid, SIGTERM);
    assert_int_equal(test_wait(s->pid), 0);
    (void)fclose(s->said);
    (void)snprintf(path, sizeof path, "%s/long", s->folder);
    (void)unlink(path);
    (void)rmdir(s->folder);
}

static int visit(const struct site *s)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)s->port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int sock = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(connect(sock, (struct sockaddr *)&at, sizeof at), 0);
    return sock;
}

static void ask(int sock, const char *target)
{
    char text[128];
    int n = snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n",
                     target);

    assert_int_equal(send(sock, text, (size_t)n, MSG_NOSIGNAL), n);
}

/* Receive up to and with the empty line; the bytes behind it stay. */
static int head_take(int sock, char *text)
{
    size_t n = 0;

    while (n < TEXT_MAX - 1) {
        if (recv(sock, text + n, 1, 0) != 1)
            return 0;
        text[++n] = '\0';
        if (n >= 4 && strcmp(text + n - 4, "\r\n\r\n") == 0)
            return 1;
    }
    return 0;
}

/* Who serves this connection, as text; false: it was dropped.
 * ret_is_last  optional: whether it says that it will close */
static int worker_name(int sock, char name[64], int *ret_is_last)
{
    char text[TEXT_MAX];
    int size = 0;
    char *at;

    ask(sock, "/worker");
    if (!head_take(sock, text))
        return 0;
    at = strstr(text, "Content-Length: ");
    assert_non_null(at);
    assert_int_equal(sscanf(at, "Content-Length: %d", &size), 1);
    assert_in_range(size, 1, 63);
    assert_int_equal(recv(sock, name, (size_t)size, MSG_WAITALL), size);
    name[size] = '\0';
    if (ret_is_last)
        *ret_is_last = strstr(text, "Connection: close") != NULL;
    return 1;
}

/* Which process serves it; 0: it was dropped. */
static int worker_of(int sock)
{
    char name[64];
    int pid = 0;

    if (worker_name(sock, name, NULL))
        assert_int_equal(sscanf(name, "200 %d.", &pid), 1);
    return pid;
}

/* Another connection to who serves `sock`. */
static int visit_same(const struct site *s, const char *wanted)
{
    for (;;) {
        int sock = visit(s);
        char name[64];

        assert_true(worker_name(sock, name, NULL));
        if (strcmp(name, wanted) == 0)
            return sock;
        (void)close(sock);
    }
}

static void crash_drops_nobody_elses_connection(const char *kind)
{
    struct site s = site_open(kind);
    int socks[N_VISITORS];
    int pids[N_VISITORS];
    int n_others = 0;
    int last;
    char byte;

    /* visitors of both processes */
    for (int i = 0; i < N_VISITORS; i++) {
        socks[i] = visit(&s);
        pids[i] = worker_of(socks[i]);
        assert_true(pids[i] > 0);
        n_others += pids[i] != pids[0];
    }
    while (n_others == 0) { /* the last one's, until it is another's */
        (void)close(socks[N_VISITORS - 1]);
        socks[N_VISITORS - 1] = visit(&s);
        pids[N_VISITORS - 1] = worker_of(socks[N_VISITORS - 1]);
        n_others = pids[N_VISITORS - 1] != pids[0];
    }
    ask(socks[0], "/crash");
    assert_true(recv(socks[0], &byte, 1, 0) <= 0);
    for (int i = 1; i < N_VISITORS; i++) {
        if (pids[i] != pids[0])
            assert_int_equal(worker_of(socks[i]), pids[i]);
    }
    /* and another takes the place of who crashed */
    do {
        int sock = visit(&s);

        last = worker_of(sock);
        (void)close(sock);
        assert_true(last > 0);
        for (int i = 0; i < N_VISITORS; i++)
            last = last == pids[i] ? 0 : last;
    } while (last == 0);
    for (int i = 0; i < N_VISITORS; i++)
        (void)close(socks[i]);
    site_close(&s);
}

/* The first bytes of a long answer came before the restart. The rest comes however long
 * it takes, also when its worker has left those who ask nothing, and new visitors are
 * served meanwhile. */
static void restart_finishes_answers(const char *kind)
{
    struct site s = site_open(kind);
    static char bytes[1 << 16];
    char text[TEXT_MAX];
    char name[64];
    int visitor = visit(&s);
    int talker;
    int silent;
    int is_last = 0;
    size_t n = 0;
    ssize_t got;

    assert_true(worker_name(visitor, name, NULL));
    talker = visit_same(&s, name);
    silent = visit_same(&s, name);
    ask(visitor, "/long");
    assert_true(head_take(visitor, text));
    assert_int_equal(test_kill(s.pid, SIGHUP), 0);
    while (!is_last) /* until its turn has come */
        assert_true(worker_name(talker, name, &is_last));
    assert_int_equal(recv(talker, bytes, 1, 0), 0);
    for (int i = 0; i < 20; i++) {
        int sock = visit(&s);

        assert_true(worker_of(sock) > 0);
        (void)close(sock);
    }
    assert_int_equal(recv(silent, bytes, 1, 0), 0);
    while (n < LONG_FILE && (got = recv(visitor, bytes, sizeof bytes, 0)) > 0)
        n += (size_t)got;
    assert_int_equal(n, LONG_FILE);
    for (int i = 0; i < 2; i++) { /* both are replaced */
        assert_non_null(fgets(text, sizeof text, s.said));
        assert_non_null(strstr(text, "returned 0"));
    }
    (void)close(visitor);
    (void)close(talker);
    (void)close(silent);
    site_close(&s);
}

static void processes_crash_alone(void **state)
{
    (void)state;
    crash_drops_nobody_elses_connection("processes");
}

static void threads_finish_before_a_restart(void **state)
{
    (void)state;
    restart_finishes_answers("threads");
}

static void processes_finish_before_a_restart(void **state)
{
    (void)state;
    restart_finishes_answers("processes");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(processes_crash_alone),
        cmocka_unit_test(threads_finish_before_a_restart),
        cmocka_unit_test(processes_finish_before_a_restart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
