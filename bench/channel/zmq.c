/* zmq.c: ZeroMQ over ipc.
 *   stream|rtt SIZE UNIT */
#include <zmq.h>

#include "common.h"

static char address[64];
static size_t size;
static uint64_t n;
static int is_stream;

static void other(void *arg)
{
    void *ctx = zmq_ctx_new();
    void *s = zmq_socket(ctx, ZMQ_PAIR);
    zmq_msg_t m;

    (void)arg;
    need(zmq_connect(s, address) == 0, "zmq_connect");
    (void)zmq_msg_init(&m);
    for (uint64_t i = 0; i < n; i++) {
        need(zmq_msg_recv(&m, s, 0) >= 0, "zmq_msg_recv");
        if (!is_stream)
            need(zmq_send(s, zmq_msg_data(&m), size, 0) >= 0, "zmq_send");
    }
    if (is_stream)
        need(zmq_send(s, "!", 1, 0) == 1, "zmq_send");
    (void)zmq_msg_close(&m);
    (void)zmq_close(s);
    (void)zmq_ctx_term(ctx);
}

int main(int argc, char **argv)
{
    struct party p = {.fn = other};
    char *bytes;
    void *ctx;
    void *s;
    zmq_msg_t m;
    int64_t from;

    if (argc < 4)
        return 2;
    is_stream = strcmp(argv[1], "stream") == 0;
    size = (size_t)atol(argv[2]);
    n = is_stream ? n_stream(size) / (size <= 256 ? 10 : 1)
                  : n_round_trips(size);
    bytes = calloc(1, size);
    (void)snprintf(address, sizeof address, "ipc:///tmp/bench-zmq-%d",
                   (int)getpid());
    party_start(&p, 0); /* before the library has threads */
    ctx = zmq_ctx_new();
    s = zmq_socket(ctx, ZMQ_PAIR);
    need(zmq_bind(s, address) == 0, "zmq_bind");
    (void)zmq_msg_init(&m);
    from = bench_now_ns();
    for (uint64_t i = 0; i < n; i++) {
        need(zmq_send(s, bytes, size, 0) >= 0, "zmq_send");
        if (!is_stream)
            need(zmq_msg_recv(&m, s, 0) >= 0, "zmq_msg_recv");
    }
    if (is_stream)
        need(zmq_msg_recv(&m, s, 0) >= 0, "zmq_msg_recv");
    from = bench_now_ns() - from;
    (void)zmq_msg_close(&m);
    (void)zmq_close(s);
    (void)zmq_ctx_term(ctx);
    party_wait(&p);
    return figure(argv[3], n, size, from);
}
