/* tcp_secret_absent.c: a build without libsodium has no secrets. */
#include "channel/tcp_secret.h"

bool mui_secret_is_possible(void)
{
    return false;
}

int mui_proof_new(bool is_server, const void *secret, size_t secret_size,
                  struct mui_proof **ret_proof)
{
    (void)is_server;
    (void)secret;
    (void)secret_size;
    (void)ret_proof;
    return MU_EMODEL;
}

void mui_proof_free(struct mui_proof *p)
{
    (void)p;
}

int mui_proof_step(struct mui_proof *p, int sock,
                   struct mui_secret **ret_secret)
{
    (void)p;
    (void)sock;
    (void)ret_secret;
    return MU_EMODEL;
}

int mui_secret_open(int sock, bool is_server, const void *secret,
                    size_t secret_size, int64_t deadline,
                    struct mui_secret **ret_secret)
{
    (void)sock;
    (void)is_server;
    (void)secret;
    (void)secret_size;
    (void)deadline;
    (void)ret_secret;
    return MU_EMODEL;
}

void mui_secret_free(struct mui_secret *s)
{
    (void)s;
}

const struct mui_coder mui_secret_coder = {.seal = NULL};
