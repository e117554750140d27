/* tcp.c: messages over TCP.
 *
 * Without a secret only the machine's own addresses (127.0.0.0/8, ::1) are opened or
 * connected to. With one, any; then the connection proves it and is encrypted. */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "channel/channel.h"
#include "channel/stream.h"
#include "channel/tcp_arrivals.h"
#include "channel/tcp_secret.h"
#include "sys/descriptor.h"

#define TCP_BACKLOG 512
#define PROOF_NS    INT64_C(5000000000) /* for the exchange of the secret */
#define GRACE_NS    INT64_C(1000000000) /* the same when others want the place */
#define UNREAD_MAX  ((size_t)16 << 20)

struct tcp_state {
    struct mui_stream stream; /* first: see MUI_STREAM_SLOTS */
    int listen_sock;          /* 0: none */
    struct mui_secret *secret;
    /* of a listener with a secret */
    void *secret_copy;
    struct mui_arrivals *arrivals;
};

union tcp_address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_storage room;
};

static struct tcp_state *tcp_state(const struct mu_chan *c)
{
    return (struct tcp_state *)(void *)(uintptr_t)c->state;
}

static bool address_is_local(const struct sockaddr *a)
{
    const void *at = a;

    if (a->sa_family == AF_INET)
        return ntohl(((const struct sockaddr_in *)at)->sin_addr.s_addr) >> 24 ==
               127;
    return a->sa_family == AF_INET6 &&
           IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)at)->sin6_addr);
}

/* A number above 65535 would be cut to one below by getaddrinfo(). */
static bool port_is_possible(const char *port)
{
    char *end;
    unsigned long number = strtoul(port, &end, 10);

    return *end != '\0' || number <= UINT16_MAX;
}

/* "host:port", "[::1]:port", ":port". Gives a list. */
static int address_find(const char *rest, bool is_server,
                        struct addrinfo **ret_found, struct mu_error *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                             .ai_flags = is_server ? AI_PASSIVE : 0};
    const char *colon = strrchr(rest, ':');
    size_t length = colon ? (size_t)(colon - rest) : 0;
    char host[256];
    int rc;

    if (!colon || colon[1] == '\0' || length >= sizeof host)
        return mui_fail(err, -EINVAL, "tcp: \"%s\" is not HOST:PORT", rest);
    if (!port_is_possible(colon + 1))
        return mui_fail(err, -EINVAL, "tcp: there is no port %s", colon + 1);
    if (length > 2 && rest[0] == '[' && rest[length - 1] == ']') {
        rest++;
        length -= 2;
    }
    memcpy(host, rest, length);
    host[length] = '\0';
    rc = getaddrinfo(length ? host : "127.0.0.1", colon + 1, &hints, ret_found);
    if (rc != 0)
        return mui_fail(err, -EINVAL, "tcp: %s: %s", rest, gai_strerror(rc));
    return 0;
}

static int secret_check(const struct mu_chan *c, const struct sockaddr *at,
                        struct mu_error *err)
{
    if (c->options.secret && c->options.secret_size < MUI_SECRET_MIN)
        return mui_fail(err, -EINVAL, "tcp: a secret has %d bytes at least",
                        MUI_SECRET_MIN);
    if (c->options.secret && !mui_secret_is_possible())
        return mui_fail(err, MU_EMODEL,
                        "tcp: a secret takes libsodium, which is not here");
    if (c->options.secret || address_is_local(at))
        return 0;
    return mui_fail(err, -EACCES,
                    "tcp: beyond this machine a shared secret is needed: "
                    "options.secret");
}

static int tcp_listen(const struct sockaddr *at, socklen_t size,
                      struct mu_error *err)
{
    int one = 1;
    int rc;
    int sock = mui_descriptor_above_stdio(
        socket(at->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));

    if (sock < 0)
        return mui_fail(err, sock, "tcp: socket");
    (void)setsockopt(sock, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(sock, at, size) < 0 || listen(sock, TCP_BACKLOG) < 0) {
        rc = mui_fail(err, -errno, "tcp: open");
        (void)close(sock);
        return rc;
    }
    return sock;
}

/* Write down where a socket really listens. */
static int address_keep(struct mu_chan *c, int sock)
{
    union tcp_address at = {.v4 = {.sin_family = AF_UNSPEC}};
    socklen_t size = sizeof at;
    char host[NI_MAXHOST];
    char port[NI_MAXSERV];
    char text[NI_MAXHOST + NI_MAXSERV + 16];

    if (getsockname(sock, &at.any, &size) < 0)
        return -errno;
    if (getnameinfo(&at.any, size, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return -EIO;
    (void)snprintf(text, sizeof text,
                   at.any.sa_family == AF_INET6 ? "tcp:[%s]:%s" : "tcp:%s:%s",
                   host, port);
    c->address = strdup(text);
    return c->address ? 0 : -ENOMEM;
}

static int expect_proofs(struct mu_chan *c, int sock)
{
    const struct mui_arrivals_terms terms = {.listen_sock = sock,
                                             .secret = c->options.secret,
                                             .secret_size =
                                                 c->options.secret_size,
                                             .proof_ns = PROOF_NS,
                                             .grace_ns = GRACE_NS};
    int seconds = (int)(PROOF_NS / 1000000000);

    /* who stays silent is not shown to us */
    (void)setsockopt(sock, IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds,
                     sizeof seconds);
    return mui_arrivals_new(&terms, &tcp_state(c)->arrivals);
}

static int tcp_open(struct mu_chan *c, const char *rest, struct mu_error *err)
{
    struct addrinfo *found;
    int sock;
    int rc = address_find(rest, true, &found, err);

    if (rc != 0)
        return rc;
    rc = secret_check(c, found->ai_addr, err);
    sock = rc == 0 ? tcp_listen(found->ai_addr, found->ai_addrlen, err) : rc;
    freeaddrinfo(found);
    if (sock < 0)
        return sock;
    tcp_state(c)->listen_sock = sock;
    if (c->options.secret) {
        void *copy = malloc(c->options.secret_size + 1);

        if (!copy)
            return mui_fail(err, -ENOMEM, "tcp: open");
        memcpy(copy, c->options.secret, c->options.secret_size);
        c->options.secret = tcp_state(c)->secret_copy = copy;
    }
    c->is_listener = true;
    rc = address_keep(c, sock);
    if (rc == 0 && c->options.secret)
        rc = expect_proofs(c, sock);
    return rc == 0 ? 0 : mui_fail(err, rc, "tcp: open");
}

/* Make a channel of a connected socket. Takes it and the secret, which may be NULL, on
 * success. */
static int tcp_take(struct mu_chan *c, int sock, struct mui_secret *secret)
{
    struct tcp_state *s = tcp_state(c);
    int one = 1;
    int rc = mui_fd_set_blocking(sock);

    if (rc != 0)
        return rc;
    (void)setsockopt(sock, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    s->secret = secret;
    mui_stream_init(&s->stream, &c->options, sock, sock, true);
    if (s->secret) {
        s->stream.coder = &mui_secret_coder;
        s->stream.coder_ctx = s->secret;
    }
    c->can_send = c->can_recv = true;
    return 0;
}

/* A connected socket that does not block, or a status. */
static int tcp_dial(const struct sockaddr *at, socklen_t size, int64_t deadline,
                    int *ret_sock)
{
    socklen_t error_size = sizeof(int);
    int error = 0;
    int rc = 0;
    int sock = mui_descriptor_above_stdio(
        socket(at->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));

    if (sock < 0)
        return sock;
    if (connect(sock, at, size) < 0) {
        rc = errno == EINPROGRESS ? mui_wait_fd(sock, POLLOUT, deadline)
                                  : -errno;
        if (rc == 0 &&
            getsockopt(sock, SOL_SOCKET, SO_ERROR, &error, &error_size) == 0)
            rc = -error;
        if (rc == -ECONNRESET) /* closed before it was accepted */
            rc = -ECONNREFUSED;
    }
    if (rc != 0) {
        (void)close(sock);
        return rc;
    }
    *ret_sock = sock;
    return 0;
}

/* A name's addresses are tried in their order: who listens on one does not on the others.
 * One that answers nothing at all takes the whole deadline. */
static int tcp_connect(struct mu_chan *c, const char *rest, int64_t deadline,
                       struct mu_error *err)
{
    struct mui_secret *secret = NULL;
    struct addrinfo *found;
    int sock = -1;
    int checked = 0;
    int rc = address_find(rest, false, &found, err);

    if (rc != 0)
        return rc;
    rc = -EADDRNOTAVAIL;
    for (const struct addrinfo *a = found; a && rc < 0 && checked == 0;
         a = a->ai_next) {
        checked = secret_check(c, a->ai_addr, err);
        if (checked == 0)
            rc = tcp_dial(a->ai_addr, a->ai_addrlen, deadline, &sock);
    }
    freeaddrinfo(found);
    if (checked != 0)
        return checked;
    if (rc == 0) {
        if (c->options.secret)
            rc = mui_secret_open(sock, false, c->options.secret,
                                 c->options.secret_size, deadline, &secret);
        if (rc == 0)
            rc = tcp_take(c, sock, secret);
        if (rc != 0) {
            mui_secret_free(secret);
            (void)close(sock);
        }
    }
    if (rc == 0 || rc == MU_TIMEOUT)
        return rc;
    return mui_fail(err, rc,
                    rc == -EACCES
                        ? "tcp: connect to %s: it has another secret, "
                          "or none"
                        : "tcp: connect to %s",
                    rest);
}

static int tcp_accept(struct mu_chan *c, struct mu_chan *peer, int64_t deadline,
                      struct mu_error *err)
{
    struct mui_arrivals *arrivals = tcp_state(c)->arrivals;
    struct mui_secret *secret = NULL;
    int sock;
    int rc = arrivals ? mui_arrivals_take(arrivals, deadline, &sock, &secret)
                      : mui_accept(tcp_state(c)->listen_sock, deadline, &sock);

    if (rc == MU_CLOSED)
        mui_arrivals_clear(arrivals);
    if (rc > 0)
        return rc;
    if (rc == 0) {
        rc = tcp_take(peer, sock, secret);
        if (rc != 0) {
            mui_secret_free(secret);
            (void)close(sock);
        }
    }
    return rc == 0 ? 0
                   : mui_fail(err, rc,
                              rc == -EACCES
                                  ? "tcp: accept: it did not prove the secret"
                                  : "tcp: accept");
}

/* Connect to an own listener and see that it is us who came. */
static int tcp_pair(struct mu_chan *a, struct mu_chan *b, const char *rest,
                    struct mu_error *err)
{
    union tcp_address at = {.v4 = {.sin_family = AF_INET}};
    union tcp_address from = at;
    union tcp_address seen = at;
    socklen_t size = sizeof at.v4;
    socklen_t from_size = sizeof from;
    socklen_t seen_size = sizeof seen;
    int sock[2] = {-1, -1};
    int listen_sock;
    int rc;

    if (*rest != '\0')
        return mui_fail(err, -EINVAL, "tcp: a pair has no address");
    at.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    listen_sock = tcp_listen(&at.any, size, err);
    if (listen_sock < 0)
        return listen_sock;
    size = sizeof at;
    rc = getsockname(listen_sock, &at.any, &size) < 0 ? -errno : 0;
    if (rc == 0)
        rc = tcp_dial(&at.any, size, MU_NEVER, &sock[0]);
    if (rc == 0)
        rc = mui_accept(listen_sock, MU_NEVER, &sock[1]);
    if (rc == 0 && (getsockname(sock[0], &from.any, &from_size) < 0 ||
                    getpeername(sock[1], &seen.any, &seen_size) < 0 ||
                    from.v4.sin_port != seen.v4.sin_port))
        rc = -EACCES;
    (void)close(listen_sock);
    a->options.secret = b->options.secret = NULL; /* within this process */
    if (rc == 0)
        rc = tcp_take(a, sock[0], NULL);
    if (rc == 0) {
        sock[0] = -1;
        rc = tcp_take(b, sock[1], NULL);
    }
    if (rc == 0)
        return 0;
    for (int i = 0; i < 2; i++) {
        if (sock[i] >= 0)
            (void)close(sock[i]);
    }
    return mui_fail(err, rc, "tcp: pair");
}

static int tcp_fd(struct mu_chan *c)
{
    const struct tcp_state *s = tcp_state(c);

    if (!c->is_listener)
        return mui_stream_fd(c);
    return s->arrivals ? mui_arrivals_fd(s->arrivals) : s->listen_sock;
}

static int tcp_close(struct mu_chan *c)
{
    if (!c->is_listener)
        return mui_stream_close(c);
    mui_arrivals_clear(tcp_state(c)->arrivals);
    return mui_listener_close(tcp_state(c)->listen_sock);
}

/* Take what was not received: closing over unread bytes would reset the connection,
 * and the reset could overtake our goodbye. What comes after the socket was closed is
 * answered so too; who cannot have that drains behind the goodbye, for as long as he
 * likes: here a silent peer would hold us up. */
static void unread_drop(int sock)
{
    char bytes[16384];
    size_t left = UNREAD_MAX;
    ssize_t n;

    do {
        n = recv(sock, bytes, sizeof bytes, MSG_DONTWAIT);
        left -= n > 0 ? (size_t)n : 0;
    } while (n > 0 && left > sizeof bytes);
}

static void tcp_fini(struct mu_chan *c)
{
    struct tcp_state *s = tcp_state(c);

    if (c->is_closed && s->stream.options)
        unread_drop(s->stream.in_fd);
    mui_arrivals_free(s->arrivals);
    if (s->listen_sock > 0)
        (void)close(s->listen_sock);
    mui_stream_fini(&s->stream);
    mui_secret_free(s->secret);
    if (s->secret_copy)
        explicit_bzero(s->secret_copy, c->options.secret_size);
    free(s->secret_copy);
}

const struct mui_transport mui_transport_tcp = {
    .scheme = "tcp",
    .size = sizeof(struct tcp_state),
    .pair = tcp_pair,
    .open = tcp_open,
    .connect = tcp_connect,
    .accept = tcp_accept,
    .send = mui_stream_send,
    .send_batch = mui_stream_send_batch,
    .borrow = mui_stream_borrow,
    .release = mui_stream_release,
    .fd = tcp_fd,
    .close = tcp_close,
    .drain = mui_stream_drain,
    .fini = tcp_fini,
};
