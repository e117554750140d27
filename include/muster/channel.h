/* channel.h: messages between workers, one interface over every transport.
 *
 *     struct mu_chan *ends[2];
 *
 *     if (mu_chan_pair("shm:", NULL, ends, NULL) < 0)
 *         return 1;
 *     ... start a worker that uses ends[1]; in a process, free the other end ...
 *     if (mu_chan_send(ends[0], "hello", 5, MU_NEVER) != MU_OK)
 *         return 1;
 *
 * A channel carries messages, in order, whole, from 0 bytes to 1 GiB. Its address
 * says how:
 *
 *     mem:             threads of one process, any number of senders
 *     mem:NAME         and receivers; the name is known in this process only
 *     shm:             rings in shared memory, between two processes
 *     shm:NAME         the same; whoever opened it receives from any number of
 *                      senders, each with a ring of its own
 *     pipe:            two pipes
 *     fifo:PATH        one named pipe, one way, one receiver, one sender each time
 *                      that it is opened: for the next, free it and open it again
 *     unix:            a pair of Unix sockets
 *     unix:PATH        any number of connections; peers are checked by their
 *                      credentials
 *     tcp:HOST:PORT    any number of connections; beyond this machine only with
 *                      a shared secret, which then also encrypts
 *     mq:              POSIX message queues, a pair
 *     mq:/NAME         one queue, one way, with priorities, outlives its users until
 *                      mq_unlink(3) takes it away; one receiver at a time
 *     file:PATH        an append-only log with checksums, one way, any number of
 *                      readers at their own positions; readers write to its first
 *                      page, and need the right to write to the file, too
 *
 * Planned, and refused today: mpi:, between the nodes of a cluster.
 *
 * mu_chan_pair() makes two connected ends, to be shared between threads or
 * inherited by a child. Otherwise one side opens an address and the others
 * connect to it: on a one-way transport the side that opened receives. On unix:PATH and
 * tcp it takes each connection by mu_chan_accept() and receives from that; on mem:NAME,
 * fifo, mq and file it has none to take and receives at once; on shm:NAME it may do either.
 *
 * The end of a channel. mu_chan_close() says goodbye: the other side gets what was
 * sent, then MU_CLOSED. mu_chan_free() gives this process's copy of an end back
 * and says nothing; when the last copy is gone without a goodbye, because it was
 * freed or because its process died, the other side gets what was sent, then
 * MU_ECRASHED. So after fork() each side frees the end that is not its own. Over tcp a death
 * may take along what the other side's machine has not got yet; see mu_chan_close().
 *
 * Who opened shm:NAME and receives from all hears of each sender that died, MU_ECRASHED,
 * once; MU_CLOSED, once, when no sender is left; and then waits for the next one. So a
 * receiver whose sender is started again when it dies goes on after both. Once the name was
 * closed in another process nobody comes any more: it gets what was sent, then MU_CLOSED each
 * time, and its senders get MU_CLOSED.
 *
 * mem:NAME is one queue, and a handle of it is what it was used for: who has sent is a
 * producer, who has received a consumer, who has done both is both, and who has done
 * neither may do either yet. When no producer is left all consumers get MU_CLOSED, and
 * the other way round; MU_ECRASHED, when one of those who were there was freed without a
 * goodbye, since somebody came last to where nobody was. So close a handle that only kept
 * the name: the opener's goodbye closes the name, and who is connected goes on.
 *
 * A peer may be hostile: what it sends is checked before it is believed, memory is
 * taken as bytes arrive and not as lengths promise, and nonsense ends the channel
 * with MU_ECORRUPT.
 *
 * Processes: a child of fork() may use what it inherited, but for mem. A worker that was
 * not forked from the program as it is has none of its descriptors, that is one of a pool,
 * and one of mu_worker_start() while threads run: there every call refuses a channel of the
 * program's with -EINVAL, and mu_chan_free() leaves its peer alone. It connects by address.
 *
 * Threads: one sender and one receiver at a time per handle; both at once is
 * fine. Who closes or frees it, or asks for its descriptor, is alone in it. Every
 * deadline is absolute: MU_NOW tries, MU_NEVER waits. */
#ifndef MUSTER_CHANNEL_H
#define MUSTER_CHANNEL_H

#include "muster/base.h"

MU_BEGIN_DECLS

struct mu_chan;

/* The largest message of any transport. */
#define MU_CHAN_MESSAGE_MAX (UINT64_C(1) << 30)

/* Whether a process may be the peer. Returns not 0 for yes. */
typedef int (*mu_chan_allow_fn)(void *ctx, int pid, unsigned uid, unsigned gid);

/* When a message of a file counts as sent. */
enum mu_chan_sync {
    MU_CHAN_SYNC_NONE =
        0, /* the kernel has it: survives kill -9 of any process */
    MU_CHAN_SYNC_DISK = 1 /* the disk has it: survives a loss of power. Senders
                              that wait at the same time share one fdatasync() */
};

/* {0} is every default; new fields go to the end. */
struct mu_chan_options {
    /* Bytes in flight one way, for shm; rounded up to a power of two.
     * 0: four times a core's second-level cache, from 4 to 8 MiB, of which memory is
     * taken as it is used; less is slower. Messages above a quarter of it travel
     * in pieces. */
    size_t ring_bytes;
    /* The largest message that is sent or accepted. 0: MU_CHAN_MESSAGE_MAX. */
    uint64_t message_bytes;
    /* How long a waiting call watches before it sleeps, for shm and mem, at most until
     * its deadline. 0: about the price of one wake-up; below 0: not at all. */
    int64_t spin_ns;
    /* Messages in flight one way, for mem and mq. 0: 1024 for mem, as many as the
     * system allows for mq. */
    unsigned queue_messages;
    /* tcp: needed for any address but the machine's own. 16 bytes at least. */
    const void *secret;
    size_t secret_size;
    /* unix, shm: who may be the peer. NULL: who runs as our effective user. */
    mu_chan_allow_fn allow;
    void *allow_ctx;
    /* file: when a message counts as sent, and where a reader begins: 0, or what
     * mu_chan_position() gave. */
    enum mu_chan_sync sync;
    uint64_t position;
};

/* Make two ends that are connected: what one sends the other receives. Of
 * file:PATH the first appends and the second reads.
 * address   "mem:", "shm:", "pipe:", "unix:", "tcp:", "mq:", "file:PATH"; borrowed
 * options   NULL for every default; borrowed
 * Returns   0; -EINVAL for an address that makes no pair; -errno
 * Context   not in a signal handler */
MU_API MU_NODISCARD int mu_chan_pair(const char *address,
                                     const struct mu_chan_options *options,
                                     struct mu_chan *ret_ends[2],
                                     struct mu_error *err);

/* Open an address for others to connect to. One that somebody has open is refused, but for a
 * file. A fifo or queue is open until the last process that has a copy of the handle has
 * freed it: a child by fork() has one until it calls exec(), and so a program that forks may
 * be refused what it has just freed. After mu_chan_close() it is not, whoever has a copy.
 * A fifo that is opened anew while the sender of a receiver before is there becomes another
 * pipe at the same path, and that sender gets MU_ECRASHED or MU_CLOSED as it sends. "shm:"
 * and "mem:" are given a name, see mu_chan_address().
 * Returns   0; -EADDRINUSE; -EBUSY: a fifo that has such a sender, in a directory that we
 *           may not change, or a path of unix that another has been opening or giving up for
 *           5 seconds, as one does that is stopped; -EINVAL, -EACCES without the secret that
 *           this address needs, MU_EMODEL for a transport that this build lacks; -errno */
MU_API MU_NODISCARD int mu_chan_open(const char *address,
                                     const struct mu_chan_options *options,
                                     struct mu_chan **ret_chan,
                                     struct mu_error *err);

/* Connect to an address that another opened: for somebody to open it nobody waits here.
 * On shm:NAME it waits until the other side receives or accepts, on tcp with a secret
 * until it accepts. On tcp without one it does not wait, nor learn that the other side
 * asks for a secret: what it sends is lost then, the next receive gives MU_ECORRUPT or
 * MU_ECRASHED, and sends MU_ECRASHED once the other side has hung up.
 * Returns   0; MU_TIMEOUT; -ECONNREFUSED, -ENOENT when nobody opened it, it was
 *           closed, or it is a fifo that had its sender; -EBUSY when that one is still
 *           there; -EACCES when the peer is not allowed or has another secret;
 *           -errno */
MU_API MU_NODISCARD int mu_chan_connect(const char *address,
                                        const struct mu_chan_options *options,
                                        int64_t deadline,
                                        struct mu_chan **ret_chan,
                                        struct mu_error *err);

/* Take one connection, on shm:NAME, unix:PATH and tcp.
 * Over tcp with a secret peers prove it side by side, each within 5 seconds; when the
 * deadline passes meanwhile, they go on in the next call.
 * One that gave up or died before it was taken is passed over on shm:NAME; one that did as it
 * was taken, and on unix and tcp any, is given, and the first receive tells.
 * Returns   0; MU_TIMEOUT; -EACCES: a peer was turned away, try again; MU_CLOSED
 *           after mu_chan_close(), in whichever process; -EOPNOTSUPP on other
 *           transports, and on an end that did not open; -errno */
MU_API MU_NODISCARD int mu_chan_accept(struct mu_chan *chan, int64_t deadline,
                                       struct mu_chan **ret_chan,
                                       struct mu_error *err);

/* Send one message, waiting for room. On a pipe, fifo or tcp one of which a part is out
 * at the deadline counts as sent: its rest goes with the next call that sends or drains.
 * bytes       [size], copied before the call returns; may be NULL for 0 bytes
 * Returns   0: it left our hands, and may still be lost if the other side ends before it
 *           receives: also of one that has just gone, which some transports tell with
 *           the next send only, and shm and mq with the first that finds no room;
 *           MU_TIMEOUT: nothing was sent; MU_CLOSED: the other side closed;
 *           MU_ECRASHED: it died, perhaps after it got the message; -EMSGSIZE; -EBUSY
 *           while room is reserved; -EOPNOTSUPP on an end that only receives;
 *           MU_ECORRUPT; of a file -EFBIG above RLIMIT_FSIZE (ulimit -f); -errno.
 *           Of a file with MU_CHAN_SYNC_DISK, when mu_chan_position() has moved: the
 *           message is in the log, and MU_TIMEOUT: not yet on the disk, so drain,
 *           or -errno: the disk failed, for all senders until the log is opened anew
 * Context   task or thread; blocks; not in a signal handler
 * Threads   one sender at a time per handle
 * Models    all, but mem is for one process: -EINVAL in a child of it */
MU_API MU_NODISCARD int mu_chan_send(struct mu_chan *chan, const void *bytes,
                                     size_t size, int64_t deadline);

/* The same with a priority: a higher one is received first, on mq. 0 is the
 * priority of mu_chan_send(). Elsewhere only 0 is known, else -EOPNOTSUPP. */
MU_API MU_NODISCARD int mu_chan_send_priority(struct mu_chan *chan,
                                              const void *bytes, size_t size,
                                              unsigned priority,
                                              int64_t deadline);

struct mu_chan_bytes {
    const void *data;
    size_t size;
};

/* Send many messages at the price of few system calls.
 * ret_n_sent  how many of them were sent, whatever is returned
 * Returns   0 when all were; else as mu_chan_send() for the first that was not */
MU_API MU_NODISCARD int mu_chan_send_batch(struct mu_chan *chan,
                                           const struct mu_chan_bytes *messages,
                                           size_t n, int64_t deadline,
                                           size_t *ret_n_sent);

/* Write a message where it will travel: reserve room, fill it, commit. Over mem:NAME the
 * room has its place among the messages of all: what others send after it is received
 * after its commit.
 * ret_room    [size], lent until the commit; 8-byte aligned
 * Returns   0; MU_TIMEOUT, MU_CLOSED, MU_ECRASHED; -EMSGSIZE when it does not fit
 *           in a quarter of the ring; -EBUSY while other room is reserved;
 *           -EOPNOTSUPP where messages are copied anyway: all but mem and shm */
MU_API MU_NODISCARD int mu_chan_reserve(struct mu_chan *chan, size_t size,
                                        int64_t deadline, void **ret_room);
/* Send the first `size` bytes of the room. Never waits.
 * Returns   0; -EINVAL without a reserve, beyond it, or after mu_chan_close() */
MU_API int mu_chan_commit(struct mu_chan *chan, size_t size);

/* Receive one message into memory of the caller.
 * ret_size    its size; with -EMSGSIZE the size that it needs
 * Returns   0; MU_TIMEOUT; MU_CLOSED: all was received and the other side closed;
 *           MU_ECRASHED: all was received and the other side died; -EMSGSIZE: the
 *           message stays, as does one of a file that is larger than this end's
 *           message_bytes; MU_ECORRUPT: the other side sent nonsense, or more than
 *           message_bytes; of a file: the log is damaged at mu_chan_position(), and
 *           the next call goes on behind it; -EOPNOTSUPP on an end that only sends,
 *           and on unix:PATH and tcp as they were opened: accept; -errno
 * Context   task or thread; blocks; not in a signal handler
 * Threads   one receiver at a time per handle */
MU_API MU_NODISCARD int mu_chan_recv(struct mu_chan *chan, void *buffer,
                                     size_t buffer_size, int64_t deadline,
                                     size_t *ret_size);

struct mu_chan_message {
    const void *data; /* [size], 8-byte aligned, never NULL */
    size_t size;
    unsigned priority; /* mq; elsewhere 0 */
};

/* Receive one message without a copy, where the transport can; the room it takes
 * is free again after the release. A peer that shares the memory may go on to
 * change it: copy what you check.
 * ret_message  lent until mu_chan_release(); one at a time per handle
 * Returns   as mu_chan_recv(); -EBUSY when one is borrowed already */
MU_API MU_NODISCARD int mu_chan_borrow(struct mu_chan *chan, int64_t deadline,
                                       struct mu_chan_message *ret_message);
/* Give the borrowed message back. Nothing happens without one. */
MU_API void mu_chan_release(struct mu_chan *chan);

/* Receive up to n_max messages that are there, waiting only for the first.
 * buffer      gets them one after the other, each at a multiple of 8
 * ret_sizes   [n_max]: their sizes
 * Returns   as mu_chan_recv() for the first; 0 when there is one at least */
MU_API MU_NODISCARD int mu_chan_recv_batch(struct mu_chan *chan, void *buffer,
                                           size_t buffer_size, size_t n_max,
                                           int64_t deadline, size_t *ret_sizes,
                                           size_t *ret_n);

/* A descriptor for poll(), epoll, or select: readable when a message, a connection
 * or an end may be there. Call it once before the first wait; then wait only after
 * a receive with MU_NOW gave MU_TIMEOUT, and try again whenever it is readable,
 * which it may be for no reason. Never read from it. Of a file whose sender was killed as it
 * sent it may not be readable for that message until there is the next one, or no process
 * has that sender's handle any more, which children by fork() inherit.
 * Returns   lent until mu_chan_free(); -EOPNOTSUPP for an end that only sends;
 *           -errno */
MU_API int mu_chan_fd(struct mu_chan *chan);

/* Say goodbye: nothing more is sent by this end, and what it reserved or did not receive
 * is dropped. The other side gets what was sent, then MU_CLOSED. Nobody can connect to an
 * address any more, and who was not accepted is hung up on. Never waits. Over tcp, who
 * only sends is told when there is no more room; over a pipe or fifo, when no process
 * holds a copy of this end any more but those that said goodbye or freed it.
 * Over tcp what comes from the other side after the free is answered by a reset, which drops
 * what is still on its way there. What was drained before is not lost, and drain after the
 * close, and the goodbye is not either.
 * Returns   0; MU_TIMEOUT: a full pipe, fifo, unix or tcp has no room for a goodbye, and
 *           nothing is dropped yet: drain, and close again */
MU_API int mu_chan_close(struct mu_chan *chan);

/* Wait until all that was sent by this end has left this process's hands: for mem and shm,
 * the other side has received it; for file, the disk has it; for tcp, the kernel of the
 * other side has it, which it may say some 40 ms later; else ours. There is room for the
 * goodbye besides, so that mu_chan_close() succeeds; after that, over tcp, it waits for the
 * goodbye too.
 * Returns   0; MU_TIMEOUT; MU_CLOSED, MU_ECRASHED when the other side left some */
MU_API MU_NODISCARD int mu_chan_drain(struct mu_chan *chan, int64_t deadline);

/* Give this process's copy of an end back, without a goodbye. Accepts NULL. */
MU_API void mu_chan_free(struct mu_chan *chan);

/* The address to connect to: "unix:/run/x", "tcp:127.0.0.1:40123" with the port
 * that was chosen for 0. Lent until free. */
MU_API const char *mu_chan_address(const struct mu_chan *chan);

/* file: the position behind the last message received or sent. Elsewhere 0. */
MU_API uint64_t mu_chan_position(const struct mu_chan *chan);

/* What mu_chan_wrap() tells of a call, for "trace". */
typedef void (*mu_chan_trace_fn)(void *ctx, const char *call, size_t size,
                                 int status);

/* Put something between a channel and its user, to test the user.
 * how       "trace": `trace` is told of every call; "lossy:N:SEED": about one in N
 *           messages sent is dropped, and none is reserved; "slow:NS": every call
 *           that sends, receives, accepts, drains or closes takes NS longer
 * inner     taken on success
 * Returns   0; -EINVAL; -ENOMEM */
MU_API MU_NODISCARD int mu_chan_wrap(const char *how, struct mu_chan *inner,
                                     mu_chan_trace_fn trace, void *trace_ctx,
                                     struct mu_chan **ret_chan,
                                     struct mu_error *err);

MU_END_DECLS

#endif
