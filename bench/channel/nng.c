/* nng.c: nng over ipc.
 *   stream|rtt SIZE UNIT */
#include <nng/nng.h>
#include <nng/protocol/pair0/pair.h>
#include <nng/supplemental/util/platform.h>

#include "common.h"

static char address[64];
static size_t size;
static uint64_t n;
static int is_stream;

static void take(nng_socket s)
{
    void *bytes;
    size_t got;

    need(nng_recv(s, &bytes, &got, NNG_FLAG_ALLOC) == 0, "nng_recv");
    nng_free(bytes, got);
}

static void other(void *arg)
{
    nng_socket s;
    char *bytes = calloc(1, size);

    (void)arg;
    need(nng_pair0_open(&s) == 0, "nng_pair0_open");
    (void)nng_socket_set_size(s, NNG_OPT_RECVMAXSZ, 0);
    need(nng_dial(s, address, NULL, NNG_FLAG_NONBLOCK) == 0, "nng_dial");
    for (uint64_t i = 0; i < n; i++) {
        take(s);
        if (!is_stream)
            need(nng_send(s, bytes, size, 0) == 0, "nng_send");
    }
    if (is_stream)
        need(nng_send(s, bytes, 1, 0) == 0, "nng_send");
    nng_msleep(200); /* closing would drop what is on its way */
    (void)nng_close(s);
}

int main(int argc, char **argv)
{
    struct party p = {.fn = other};
    nng_socket s;
    char *bytes;
    int64_t from;

    if (argc < 4)
        return 2;
    is_stream = strcmp(argv[1], "stream") == 0;
    size = (size_t)atol(argv[2]);
    n = is_stream ? n_stream(size) / (size <= 256 ? 50 : 4)
                  : n_round_trips(size) / 4;
    bytes = calloc(1, size);
    (void)snprintf(address, sizeof address, "ipc:///tmp/bench-nng-%d",
                   (int)getpid());
    party_start(&p, 0); /* before the library has threads */
    need(nng_pair0_open(&s) == 0, "nng_pair0_open");
    (void)nng_socket_set_size(s, NNG_OPT_RECVMAXSZ, 0);
    need(nng_listen(s, address, NULL, 0) == 0, "nng_listen");
    need(nng_send(s, bytes, size, 0) == 0, "nng_send"); /* until it is there */
    from = bench_now_ns();
    if (!is_stream)
        take(s);
    for (uint64_t i = 1; i < n; i++) {
        need(nng_send(s, bytes, size, 0) == 0, "nng_send");
        if (!is_stream)
            take(s);
    }
    if (is_stream)
        take(s);
    from = bench_now_ns() - from;
    (void)nng_close(s);
    party_wait(&p);
    return figure(argv[3], n, size, from);
}
