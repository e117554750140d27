// boost.cpp: boost::lockfree::spsc_queue in memory that two processes share.
//   stream|rtt SIZE UNIT      (SIZE is 64)
#include <boost/lockfree/spsc_queue.hpp>
#include <new>

#include "common.h"

namespace
{
struct message {
    char bytes[64];
};
typedef boost::lockfree::spsc_queue<message, boost::lockfree::capacity<16384>>
    queue;
struct both {
    queue there;
    queue back;
} * q;
uint64_t n;

void receive(void *)
{
    message m = {};
    static char bytes[64];

    for (uint64_t i = 0; i < n; i++) {
        while (!q->there.pop(m))
            pause_cpu();
        memcpy(bytes, m.bytes, sizeof bytes);
        __asm__ volatile("" ::"r"(bytes) : "memory");
    }
    while (!q->back.push(m))
        pause_cpu();
}

void echo(void *)
{
    message m;

    for (uint64_t i = 0; i < n; i++) {
        while (!q->there.pop(m))
            pause_cpu();
        while (!q->back.push(m))
            pause_cpu();
    }
}
} // namespace

int main(int argc, char **argv)
{
    int is_stream = argc > 1 && strcmp(argv[1], "stream") == 0;
    struct party p = {};
    message m = {};
    int64_t from;

    q = new (shared_memory(sizeof(both))) both;
    n = is_stream ? n_stream(64) : 1000000;
    p.fn = is_stream ? receive : echo;
    party_start(&p, 0);
    from = bench_now_ns();
    for (uint64_t i = 0; i < n; i++) {
        while (!q->there.push(m))
            pause_cpu();
        if (!is_stream)
            while (!q->back.pop(m))
                pause_cpu();
    }
    if (is_stream)
        while (!q->back.pop(m))
            pause_cpu();
    from = bench_now_ns() - from;
    party_wait(&p);
    return figure(argv[argc - 1], n, 64, from);
}
