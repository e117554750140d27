/* tcp_secret.c: a shared secret on a TCP connection.
 *
 * Each side sends a fresh X25519 key. Both derive, from the exchanged secret, the two
 * public keys and the shared secret as the key of the hash, one key a direction:
 *
 *     keys = BLAKE2b-512(X25519(own, peer) | client's key | server's key;
 *                        key = BLAKE2b-256(secret))
 *
 * Then each side begins a stream of XChaCha20-Poly1305 (crypto_secretstream) and
 * seals a first message with a fixed text. Who opens it knows that the other has the
 * secret and took part in this exchange; nothing of an earlier connection can be
 * played again, and a secret that leaks later opens no earlier one. The order of
 * messages is part of the stream, and whether each is a goodbye is proved with it.
 *
 * Who only sends opens nothing, and so cannot open a goodbye that follows messages. For
 * it a goodbye ends in a mark, which nobody else knows before it is said:
 *
 *     mark = BLAKE2b-128("muster goodbye"; key = that of the direction)
 *
 * Once said it can be moved before messages that it followed: the receiver notices, and
 * to the sender it is true. */
#include "channel/tcp_secret.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "sys/library.h"

#define FUNCTIONS(F)                                                           \
    F(sodium_init)                                                             \
    F(sodium_memcmp)                                                           \
    F(sodium_memzero)                                                          \
    F(randombytes_buf)                                                         \
    F(crypto_generichash)                                                      \
    F(crypto_scalarmult)                                                       \
    F(crypto_scalarmult_base)                                                  \
    F(crypto_secretstream_xchacha20poly1305_init_pull)                         \
    F(crypto_secretstream_xchacha20poly1305_init_push)                         \
    F(crypto_secretstream_xchacha20poly1305_pull)                              \
    F(crypto_secretstream_xchacha20poly1305_push)
MUI_LIBRARY(library, na, MUSTER_SODIUM, FUNCTIONS);

#define KEY_BYTES    32
#define HEADER_BYTES crypto_secretstream_xchacha20poly1305_HEADERBYTES
#define ADDED_BYTES  crypto_secretstream_xchacha20poly1305_ABYTES
#define MARK_BYTES   16

_Static_assert(ADDED_BYTES + MARK_BYTES <= MUI_CODER_MORE,
               "room for what sealing adds");

static const unsigned char proof_text[16] = "muster channel2";
static const unsigned char mark_text[14] = "muster goodbye";

struct mui_secret {
    crypto_secretstream_xchacha20poly1305_state out;
    crypto_secretstream_xchacha20poly1305_state in;
    unsigned char out_mark[MARK_BYTES];
    unsigned char in_mark[MARK_BYTES]; /* not changed once it is proven */
};

/* Both keys: the client's first. */
static int keys_derive(unsigned char keys[2 * KEY_BYTES], const void *secret,
                       size_t secret_size,
                       const unsigned char own_secret[KEY_BYTES],
                       const unsigned char publics[2 * KEY_BYTES],
                       const unsigned char peer[KEY_BYTES])
{
    unsigned char input[3 * KEY_BYTES];
    unsigned char hashed[KEY_BYTES];
    int rc = na.crypto_scalarmult(input, own_secret, peer) == 0 ? 0 : -EACCES;

    if (rc == 0) {
        memcpy(input + KEY_BYTES, publics, (size_t)2 * KEY_BYTES);
        (void)na.crypto_generichash(hashed, sizeof hashed, secret, secret_size,
                                    NULL, 0);
        (void)na.crypto_generichash(keys, (size_t)2 * KEY_BYTES, input,
                                    sizeof input, hashed, sizeof hashed);
    }
    na.sodium_memzero(input, sizeof input);
    na.sodium_memzero(hashed, sizeof hashed);
    return rc;
}

bool mui_secret_is_possible(void)
{
    return mui_library_load(&library) == 0;
}

/* -- proving it -- */

enum {
    SECRET_PROOF = HEADER_BYTES + sizeof proof_text + ADDED_BYTES,
    STEP_MAX = SECRET_PROOF > KEY_BYTES ? SECRET_PROOF : KEY_BYTES
};

/* Each side says its key; when it has the other's, its proof. */
struct mui_proof {
    struct mui_secret *proven; /* when it is */
    const void *secret;
    size_t secret_size;
    bool is_server;
    bool has_key; /* the peer's */
    unsigned char own_secret[KEY_BYTES];
    unsigned char publics[2 * KEY_BYTES]; /* the client's first */
    unsigned char in_key[KEY_BYTES];      /* of the peer's stream */
    unsigned char out[STEP_MAX];
    size_t out_at;
    size_t out_end;
    unsigned char in[STEP_MAX];
    size_t in_at;
    size_t in_end;
};

int mui_proof_new(bool is_server, const void *secret, size_t secret_size,
                  struct mui_proof **ret_proof)
{
    struct mui_proof *p;
    unsigned char *own;

    if (secret_size < MUI_SECRET_MIN)
        return -EINVAL;
    if (!mui_secret_is_possible())
        return MU_EMODEL;
    if (na.sodium_init() < 0)
        return -EIO;
    p = calloc(1, sizeof *p);
    if (!p)
        return -ENOMEM;
    p->proven = calloc(1, sizeof *p->proven);
    if (!p->proven) {
        free(p);
        return -ENOMEM;
    }
    p->is_server = is_server;
    p->secret = secret;
    p->secret_size = secret_size;
    own = p->publics + (is_server ? KEY_BYTES : 0);
    na.randombytes_buf(p->own_secret, sizeof p->own_secret);
    (void)na.crypto_scalarmult_base(own, p->own_secret);
    memcpy(p->out, own, KEY_BYTES);
    p->out_end = KEY_BYTES;
    p->in_end = KEY_BYTES;
    *ret_proof = p;
    return 0;
}

void mui_proof_free(struct mui_proof *p)
{
    if (!p)
        return;
    mui_secret_free(p->proven);
    na.sodium_memzero(p, sizeof *p);
    free(p);
}

/* Without waiting, as far as it goes. */
static int say_some(struct mui_proof *p, int sock)
{
    while (p->out_at < p->out_end) {
        ssize_t n = send(sock, p->out + p->out_at, p->out_end - p->out_at,
                         MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n > 0)
            p->out_at += (size_t)n;
        else if (n < 0 && errno == EAGAIN)
            return MU_EMPTY;
        else if (n < 0 && errno != EINTR)
            return -errno;
    }
    return 0;
}

static int hear_some(struct mui_proof *p, int sock)
{
    while (p->in_at < p->in_end) {
        ssize_t n =
            recv(sock, p->in + p->in_at, p->in_end - p->in_at, MSG_DONTWAIT);

        if (n > 0)
            p->in_at += (size_t)n;
        else if (n == 0)
            return -EACCES; /* the other side found our proof wanting */
        else if (errno == EAGAIN)
            return MU_EMPTY;
        else if (errno != EINTR)
            return -errno;
    }
    return 0;
}

static void mark_derive(unsigned char mark[MARK_BYTES],
                        const unsigned char key[KEY_BYTES])
{
    (void)na.crypto_generichash(mark, MARK_BYTES, mark_text, sizeof mark_text,
                                key, KEY_BYTES);
}

/* The peer's key is there: begin our stream, with its header and a proof. */
static int prove(struct mui_proof *p)
{
    unsigned char *peer = p->publics + (p->is_server ? 0 : KEY_BYTES);
    unsigned char keys[2 * KEY_BYTES];
    int rc;

    memcpy(peer, p->in, KEY_BYTES);
    rc = keys_derive(keys, p->secret, p->secret_size, p->own_secret, p->publics,
                     peer);
    if (rc == 0) {
        (void)na.crypto_secretstream_xchacha20poly1305_init_push(
            &p->proven->out, p->out, keys + (p->is_server ? KEY_BYTES : 0));
        (void)na.crypto_secretstream_xchacha20poly1305_push(
            &p->proven->out, p->out + HEADER_BYTES, NULL, proof_text,
            sizeof proof_text, NULL, 0, 0);
        memcpy(p->in_key, keys + (p->is_server ? 0 : KEY_BYTES), KEY_BYTES);
        mark_derive(p->proven->out_mark, keys + (p->is_server ? KEY_BYTES : 0));
        mark_derive(p->proven->in_mark, p->in_key);
        p->out_at = 0;
        p->out_end = SECRET_PROOF;
        p->in_at = 0;
        p->in_end = SECRET_PROOF;
        p->has_key = true;
    }
    na.sodium_memzero(keys, sizeof keys);
    return rc;
}

static int check_proof(struct mui_proof *p)
{
    unsigned char text[sizeof proof_text];

    if (na.crypto_secretstream_xchacha20poly1305_init_pull(
            &p->proven->in, p->in, p->in_key) != 0 ||
        na.crypto_secretstream_xchacha20poly1305_pull(
            &p->proven->in, text, NULL, NULL, p->in + HEADER_BYTES,
            sizeof proof_text + ADDED_BYTES, NULL, 0) != 0 ||
        na.sodium_memcmp(text, proof_text, sizeof text) != 0)
        return -EACCES;
    return 0;
}

int mui_proof_step(struct mui_proof *p, int sock,
                   struct mui_secret **ret_secret)
{
    for (;;) {
        int said = say_some(p, sock);
        int heard = said < 0 ? 0 : hear_some(p, sock);
        int rc;

        if (said < 0 || heard < 0)
            return said < 0 ? said : heard;
        if (said == MU_EMPTY || heard == MU_EMPTY)
            return MU_EMPTY;
        if (!p->has_key) {
            rc = prove(p);
            if (rc != 0)
                return rc;
            continue;
        }
        rc = check_proof(p);
        if (rc == 0) {
            *ret_secret = p->proven;
            p->proven = NULL;
        }
        return rc;
    }
}

int mui_secret_open(int sock, bool is_server, const void *secret,
                    size_t secret_size, int64_t deadline,
                    struct mui_secret **ret_secret)
{
    struct mui_proof *p;
    int rc = mui_proof_new(is_server, secret, secret_size, &p);

    if (rc != 0)
        return rc;
    while ((rc = mui_proof_step(p, sock, ret_secret)) == MU_EMPTY) {
        rc = mui_wait_fd(
            sock, p->out_at < p->out_end ? POLLIN | POLLOUT : POLLIN, deadline);
        if (rc != 0)
            break;
    }
    mui_proof_free(p);
    return rc;
}

void mui_secret_free(struct mui_secret *s)
{
    if (!s)
        return;
    na.sodium_memzero(s, sizeof *s);
    free(s);
}

static size_t secret_seal(void *ctx, bool is_bye, const void *bytes,
                          size_t size, void *ret)
{
    struct mui_secret *s = ctx;
    unsigned char beside = is_bye;
    unsigned long long sealed;

    (void)na.crypto_secretstream_xchacha20poly1305_push(
        &s->out, ret, &sealed, bytes, size, &beside, sizeof beside, 0);
    if (is_bye) {
        memcpy((char *)ret + sealed, s->out_mark, MARK_BYTES);
        sealed += MARK_BYTES;
    }
    return (size_t)sealed;
}

static bool secret_is_bye(void *ctx, const void *bytes, size_t size)
{
    const struct mui_secret *s = ctx;

    return size == ADDED_BYTES + MARK_BYTES &&
           na.sodium_memcmp((const char *)bytes + ADDED_BYTES, s->in_mark,
                            MARK_BYTES) == 0;
}

static int64_t secret_open(void *ctx, bool is_bye, void *bytes, size_t size)
{
    struct mui_secret *s = ctx;
    unsigned char beside = is_bye;
    unsigned char *sealed = bytes;
    unsigned long long opened;

    if (is_bye) {
        if (!secret_is_bye(ctx, bytes, size))
            return -1;
        size -= MARK_BYTES;
    }
    /* In place means exactly there: behind a byte of its own the message begins. Where
     * the two overlap by another distance the cipher reads what it has written. */
    if (size < ADDED_BYTES || na.crypto_secretstream_xchacha20poly1305_pull(
                                  &s->in, sealed + 1, &opened, NULL, sealed,
                                  size, &beside, sizeof beside) != 0)
        return -1;
    memmove(sealed, sealed + 1, opened);
    return (int64_t)opened;
}

const struct mui_coder mui_secret_coder = {
    .seal = secret_seal, .open = secret_open, .is_bye = secret_is_bye};
