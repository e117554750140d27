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
 * played again, and a secret that leaks later opens no earlier one. The order and
 * the end of messages are part of the stream. */
#include "channel/tcp_secret.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define KEY_BYTES    32
#define HEADER_BYTES crypto_secretstream_xchacha20poly1305_HEADERBYTES
#define ADDED_BYTES  crypto_secretstream_xchacha20poly1305_ABYTES

_Static_assert(ADDED_BYTES <= MUI_CODER_MORE, "room for what sealing adds");

static const unsigned char proof_text[16] = "muster channel";

struct mui_secret {
    crypto_secretstream_xchacha20poly1305_state out;
    crypto_secretstream_xchacha20poly1305_state in;
};

static int all_write(int sock, const void *bytes, size_t size, int64_t deadline)
{
    const char *at = bytes;

    while (size > 0) {
        ssize_t n = send(sock, at, size, MSG_NOSIGNAL | MSG_DONTWAIT);
        int rc;

        if (n > 0) {
            at += n;
            size -= (size_t)n;
            continue;
        }
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return -errno;
        rc = mui_wait_fd(sock, POLLOUT, deadline);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int all_read(int sock, void *bytes, size_t size, int64_t deadline)
{
    char *at = bytes;

    while (size > 0) {
        ssize_t n = recv(sock, at, size, MSG_DONTWAIT);
        int rc;

        if (n > 0) {
            at += n;
            size -= (size_t)n;
            continue;
        }
        if (n == 0)
            return -EACCES; /* the other side found our proof wanting */
        if (errno != EAGAIN && errno != EINTR)
            return -errno;
        rc = mui_wait_fd(sock, POLLIN, deadline);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* Both keys: the client's first. */
static int keys_derive(unsigned char keys[2 * KEY_BYTES], const void *secret,
                       size_t secret_size,
                       const unsigned char own_secret[KEY_BYTES],
                       const unsigned char publics[2 * KEY_BYTES],
                       const unsigned char peer[KEY_BYTES])
{
    unsigned char input[3 * KEY_BYTES];
    unsigned char hashed[KEY_BYTES];
    int rc = crypto_scalarmult(input, own_secret, peer) == 0 ? 0 : -EACCES;

    if (rc == 0) {
        memcpy(input + KEY_BYTES, publics, (size_t)2 * KEY_BYTES);
        (void)crypto_generichash(hashed, sizeof hashed, secret, secret_size,
                                 NULL, 0);
        (void)crypto_generichash(keys, (size_t)2 * KEY_BYTES, input,
                                 sizeof input, hashed, sizeof hashed);
    }
    sodium_memzero(input, sizeof input);
    sodium_memzero(hashed, sizeof hashed);
    return rc;
}

/* Send our stream's header and proof, and check the peer's. */
static int proofs_exchange(struct mui_secret *s, int sock, bool is_server,
                           const unsigned char keys[2 * KEY_BYTES],
                           int64_t deadline)
{
    unsigned char ours[HEADER_BYTES + sizeof proof_text + ADDED_BYTES];
    unsigned char theirs[sizeof ours];
    unsigned char text[sizeof proof_text];
    int rc;

    (void)crypto_secretstream_xchacha20poly1305_init_push(
        &s->out, ours, keys + (is_server ? KEY_BYTES : 0));
    (void)crypto_secretstream_xchacha20poly1305_push(
        &s->out, ours + HEADER_BYTES, NULL, proof_text, sizeof proof_text, NULL,
        0, 0);
    rc = all_write(sock, ours, sizeof ours, deadline);
    if (rc == 0)
        rc = all_read(sock, theirs, sizeof theirs, deadline);
    if (rc != 0)
        return rc;
    if (crypto_secretstream_xchacha20poly1305_init_pull(
            &s->in, theirs, keys + (is_server ? 0 : KEY_BYTES)) != 0 ||
        crypto_secretstream_xchacha20poly1305_pull(
            &s->in, text, NULL, NULL, theirs + HEADER_BYTES,
            sizeof proof_text + ADDED_BYTES, NULL, 0) != 0 ||
        sodium_memcmp(text, proof_text, sizeof text) != 0)
        return -EACCES;
    return 0;
}

int mui_secret_open(int sock, bool is_server, const void *secret,
                    size_t secret_size, int64_t deadline,
                    struct mui_secret **ret_secret)
{
    unsigned char own_secret[KEY_BYTES];
    unsigned char publics[2 * KEY_BYTES];
    unsigned char *own = publics + (is_server ? KEY_BYTES : 0);
    unsigned char *peer = publics + (is_server ? 0 : KEY_BYTES);
    unsigned char keys[2 * KEY_BYTES];
    struct mui_secret *s;
    int rc;

    if (secret_size < MUI_SECRET_MIN)
        return -EINVAL;
    if (sodium_init() < 0)
        return -EIO;
    s = calloc(1, sizeof *s);
    if (!s)
        return -ENOMEM;
    randombytes_buf(own_secret, sizeof own_secret);
    (void)crypto_scalarmult_base(own, own_secret);
    rc = all_write(sock, own, KEY_BYTES, deadline);
    if (rc == 0)
        rc = all_read(sock, peer, KEY_BYTES, deadline);
    if (rc == 0)
        rc = keys_derive(keys, secret, secret_size, own_secret, publics, peer);
    if (rc == 0)
        rc = proofs_exchange(s, sock, is_server, keys, deadline);
    sodium_memzero(own_secret, sizeof own_secret);
    sodium_memzero(keys, sizeof keys);
    if (rc != 0) {
        mui_secret_free(s);
        return rc;
    }
    *ret_secret = s;
    return 0;
}

void mui_secret_free(struct mui_secret *s)
{
    if (!s)
        return;
    sodium_memzero(s, sizeof *s);
    free(s);
}

static size_t secret_seal(void *ctx, const void *bytes, size_t size, void *ret)
{
    struct mui_secret *s = ctx;
    unsigned long long sealed;

    (void)crypto_secretstream_xchacha20poly1305_push(&s->out, ret, &sealed,
                                                     bytes, size, NULL, 0, 0);
    return (size_t)sealed;
}

static int64_t secret_open(void *ctx, void *bytes, size_t size)
{
    struct mui_secret *s = ctx;
    unsigned long long opened;

    if (size < ADDED_BYTES ||
        crypto_secretstream_xchacha20poly1305_pull(&s->in, bytes, &opened, NULL,
                                                   bytes, size, NULL, 0) != 0)
        return -1;
    return (int64_t)opened;
}

const struct mui_coder mui_secret_coder = {.seal = secret_seal,
                                           .open = secret_open};
