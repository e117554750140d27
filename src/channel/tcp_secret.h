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

/* Prove the secret to each other over a fresh connection. 0; MU_TIMEOUT; -EACCES:
 * the peer has another; MU_EMODEL: not in this build; -errno. */
int mui_secret_open(int sock, bool is_server, const void *secret,
                    size_t secret_size, int64_t deadline,
                    struct mui_secret **ret_secret);
void mui_secret_free(struct mui_secret *s);

extern const struct mui_coder mui_secret_coder;

#endif
