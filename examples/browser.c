/* browser.c: the textbook's browser: one worker renders, one downloads, one handles
 * input; each a thread or a process by one word.
 *
 *     browser threads|processes PORT PATH...     PORT is that of httpd
 *
 * The three connect to a hub, the main program, by one address. Input asks for pages,
 * the downloader gets them from the server, the renderer turns HTML into text. A page
 * that contains "<crash>" crashes the renderer: as a process it is started again while
 * the others go on, and the page is given up; as a thread it takes the browser along. */
// NOLINTNEXTLINE(readability-identifier-naming): memmem()
#define _GNU_SOURCE 1

#include <arpa/inet.h>
#include <errno.h>
#include <muster/muster.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PAGE_MAX = 1 << 20, ADDRESS_MAX = 128, N_ROLES = 3, N_PATHS = 64 };
enum role { RENDER = 0, DOWNLOAD, INPUT };
static const char *const role_names[N_ROLES] = {"renderer", "downloader",
                                                "input"};

struct part {
    enum role role;
    int port;
    int n_paths;
    char address[ADDRESS_MAX];
    char paths[N_PATHS][128];
};

/* ---- the three workers ------------------------------------------------------ */

/* Turn HTML into text: drop what stands in angle brackets. */
static size_t page_render(const char *page, size_t size, char *text)
{
    size_t n = 0;
    int in_tag = 0;

    if (memmem(page, size, "<crash>", 7))
        abort(); /* the bug that every renderer has */
    for (size_t i = 0; i < size; i++) {
        if (page[i] == '<')
            in_tag = 1;
        else if (page[i] == '>')
            in_tag = 0;
        else if (!in_tag)
            text[n++] = page[i];
    }
    return n;
}

/* Get one page from the server. Its size; 0 when there is none. */
static size_t page_get(int port, const char *path, char *page)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int sock = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char request[300];
    size_t n = 0;
    ssize_t got;
    char *body;
    int length = snprintf(request, sizeof request,
                          "GET %s HTTP/1.1\r\nHost: x\r\n"
                          "Connection: close\r\n\r\n",
                          path);

    if (sock >= 0 && connect(sock, (struct sockaddr *)&at, sizeof at) == 0 &&
        send(sock, request, (size_t)length, MSG_NOSIGNAL) == length) {
        while (n < PAGE_MAX &&
               (got = recv(sock, page + n, PAGE_MAX - n, 0)) > 0)
            n += (size_t)got;
    }
    if (sock >= 0)
        (void)close(sock);
    body = memmem(page, n, "\r\n\r\n", 4);
    if (!body || n < 12 || memcmp(page + 9, "200", 3) != 0)
        return 0;
    n -= (size_t)(body + 4 - page);
    memmove(page, body + 4, n);
    return n;
}

/* Answer each message with another, until the hub closes. */
static int part_answer(struct mu_chan *hub, const struct part *p)
{
    char *answer = malloc(PAGE_MAX);
    struct mu_chan_message m;
    int rc = -ENOMEM; /* unless there is room for an answer */

    while (answer && (rc = mu_chan_borrow(hub, MU_NEVER, &m)) == 0) {
        char path[128];
        size_t size;

        if (p->role == RENDER) {
            size = page_render(m.data, m.size, answer);
        } else {
            (void)snprintf(path, sizeof path, "%.*s", (int)m.size,
                           (const char *)m.data);
            size = page_get(p->port, path, answer);
        }
        mu_chan_release(hub);
        rc = mu_chan_send(hub, answer, size, MU_NEVER);
        if (rc != 0)
            break;
    }
    free(answer);
    return rc == MU_CLOSED ? 0 : 1;
}

static int part_run(void *arg, size_t size)
{
    const struct part *p = arg;
    struct mu_chan *hub;
    int rc = mu_chan_connect(p->address, NULL, MU_NEVER, &hub, NULL);

    (void)size;
    if (rc == 0)
        rc = mu_chan_send(hub, &p->role, sizeof p->role, MU_NEVER);
    if (rc == 0 && p->role == INPUT) {
        for (int i = 0; i < p->n_paths && rc == 0; i++)
            rc = mu_chan_send(hub, p->paths[i], strlen(p->paths[i]), MU_NEVER);
        if (rc == 0)
            rc = mu_chan_close(hub);
    } else if (rc == 0) {
        rc = part_answer(hub, p);
    }
    mu_chan_free(hub);
    return rc;
}

/* ---- the hub ---------------------------------------------------------------- */

struct hub {
    struct mu_chan *listener;
    struct mu_chan *parts[N_ROLES];
    struct mu_supervisor *supervisor;
};

/* Look after everything until the part with this role is there. */
static int part_await(struct hub *h, enum role role)
{
    while (!h->parts[role]) {
        struct pollfd fds[2] = {
            {.fd = mu_chan_fd(h->listener), .events = POLLIN},
            {.fd = mu_supervisor_fd(h->supervisor), .events = POLLIN}};
        struct mu_chan *c;
        enum role said;
        size_t size;
        int rc = mu_supervisor_run(h->supervisor, MU_NOW);

        if (rc == MU_ECRASHED)
            return 1;
        if (mu_chan_accept(h->listener, MU_NOW, &c, NULL) == 0) {
            if (mu_chan_recv(c, &said, sizeof said, MU_NEVER, &size) != 0 ||
                size != sizeof said || (unsigned)said >= N_ROLES) {
                mu_chan_free(c);
                continue;
            }
            mu_chan_free(h->parts[said]);
            h->parts[said] = c;
            continue;
        }
        (void)poll(fds, 2, -1);
    }
    return 0;
}

/* Ask a part and take its answer. 0; 1: it ended before it answered. */
static int part_ask(struct hub *h, enum role role, const void *bytes,
                    size_t size, char *answer, size_t *ret_size)
{
    if (part_await(h, role) != 0)
        return 1;
    if (mu_chan_send(h->parts[role], bytes, size, MU_NEVER) == 0 &&
        mu_chan_recv(h->parts[role], answer, PAGE_MAX, MU_NEVER, ret_size) == 0)
        return 0;
    mu_chan_free(h->parts[role]);
    h->parts[role] = NULL; /* the supervisor starts it again, and it connects */
    return 1;
}

/* One page from address to screen. */
static void page_show(struct hub *h, const char *path, char *page, char *text)
{
    size_t size;

    if (part_ask(h, DOWNLOAD, path, strlen(path), page, &size) != 0 ||
        size == 0) {
        (void)printf("%s: not found\n", path);
        return;
    }
    if (part_ask(h, RENDER, page, size, text, &size) != 0) {
        (void)printf("%s: the renderer crashed; the others go on\n", path);
        return;
    }
    (void)printf("%s: %.*s\n", path, (int)size, text);
}

static int browse(struct hub *h)
{
    char *page = malloc(PAGE_MAX);
    char *text = malloc(PAGE_MAX);
    char path[128];
    size_t size;
    int rc = page && text ? part_await(h, INPUT) : 1;

    while (rc == 0 && (rc = mu_chan_recv(h->parts[INPUT], path, sizeof path - 1,
                                         MU_NEVER, &size)) == 0) {
        path[size] = '\0';
        page_show(h, path, page, text);
        (void)fflush(stdout);
    }
    free(page);
    free(text);
    return rc == MU_CLOSED ? 0 : 1;
}

int main(int argc, char **argv)
{
    struct mu_child children[N_ROLES];
    struct part parts[N_ROLES] = {{.role = RENDER}};
    struct mu_supervisor_options how = {.restarts_max = 20,
                                        .period_ns = 1000000000};
    struct hub h = {.listener = NULL};
    struct mu_error err;
    int rc = 1;

    if (argc < 4 || argc - 3 > N_PATHS) {
        (void)fprintf(stderr,
                      "usage: browser threads|processes PORT PATH...\n");
        return 2;
    }
    if (mu_chan_open("shm:", NULL, &h.listener, &err) != 0) {
        (void)fprintf(stderr, "browser: %s\n", err.text);
        return 1;
    }
    for (int r = 0; r < N_ROLES; r++) {
        struct part *p = &parts[r];

        p->role = (enum role)r;
        p->port = atoi(argv[2]);
        p->n_paths = argc - 3;
        for (int i = 0; i < p->n_paths; i++)
            (void)snprintf(p->paths[i], sizeof p->paths[i], "%s", argv[3 + i]);
        (void)snprintf(p->address, sizeof p->address, "%s",
                       mu_chan_address(h.listener));
        children[r] = (struct mu_child){
            .fn = part_run,
            .arg = p,
            .arg_size = sizeof *p,
            .restart = MU_RESTART_FAILED,
            .options = {.kind = strcmp(argv[1], "processes") == 0
                                    ? MU_WORKER_PROCESS
                                    : MU_WORKER_THREAD,
                        .name = role_names[r]}};
    }
    if (mu_supervisor_start(&how, children, N_ROLES, &h.supervisor, &err) != 0)
        (void)fprintf(stderr, "browser: %s\n", err.text);
    else
        rc = browse(&h);
    for (int r = 0; r < N_ROLES; r++) {
        if (h.parts[r])
            (void)mu_chan_close(h.parts[r]);
    }
    mu_supervisor_free(h.supervisor);
    for (int r = 0; r < N_ROLES; r++)
        mu_chan_free(h.parts[r]);
    mu_chan_free(h.listener);
    return rc;
}
