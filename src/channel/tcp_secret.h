/* tcp_secret.h: a connection that only those who know a secret can make or read.
 * tcp_secret.c needs libsodium; tcp_secret_absent.c stands in without it. */
#ifndef MUI_CHANNEL_TCP_SECRET_H
#define MUI_CHANNEL_TCP_SECRET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "channel/stream.h"

/* A secret is not shorter. */
#define MUI_SECRET_MIN 16

struct mui_secret;

/* Whether this build, and this machine, have libsodium, which is loaded now. */
bool mui_secret_is_possible(void);

/* One proof to each other, step by step, never waiting. */
struct mui_proof;

/* `secret` is lent until it is freed. 0; -EINVAL: too short; MU_EMODEL: not
 * possible; -EIO, -ENOMEM. */
int mui_proof_new(bool is_server, const void *secret, size_t secret_size,
                  struct mui_proof **ret_proof);
void mui_proof_free(struct mui_proof *p);

/* As far as it goes. 0: done, and gives the secret's state; MU_EMPTY: again when the
 * socket is ready to read, or to write what is left; -EACCES: the peer has another;
 * -errno. */
int mui_proof_step(struct mui_proof *p, int sock,
                   struct mui_secret **ret_secret);

/* All steps, over a fresh connection. 0; MU_TIMEOUT; -EACCES: the peer has another;
 * MU_EMODEL: not possible; -errno. */
int mui_secret_open(int sock, bool is_server, const void *secret,
                    size_t secret_size, int64_t deadline,
                    struct mui_secret **ret_secret);
void mui_secret_free(struct mui_secret *s);

extern const struct mui_coder mui_secret_coder;

#endif
