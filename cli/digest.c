/* digest.c: FNV-1a with 128 bits (Fowler, Noll, Vo; RFC 9923). */
#include "digest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { READ_BYTES = 16 * 1024 };

#define OFFSET_BASIS                                                           \
    (((unsigned __int128)0x6c62272e07bb0142U << 64) | 0x62b821756295c58dU)
#define PRIME (((unsigned __int128)1 << 88) | 0x13b)

void digest_init(struct digest *d)
{
    d->state = OFFSET_BASIS;
}

void digest_add(struct digest *d, const void *bytes, size_t size)
{
    const unsigned char *b = bytes;

    for (size_t i = 0; i < size; i++)
        d->state = (d->state ^ b[i]) * PRIME;
}

void digest_add_string(struct digest *d, const char *string)
{
    digest_add(d, string, strlen(string) + 1);
}

void digest_text(const struct digest *d, char ret_text[DIGEST_TEXT_BYTES])
{
    (void)snprintf(ret_text, DIGEST_TEXT_BYTES, "%016llx%016llx",
                   (unsigned long long)(d->state >> 64),
                   (unsigned long long)d->state);
}

int digest_file(const char *path, char ret_text[DIGEST_TEXT_BYTES])
{
    struct digest d;
    char bytes[READ_BYTES];
    ssize_t size;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    digest_init(&d);
    while ((size = read(fd, bytes, sizeof bytes)) > 0)
        digest_add(&d, bytes, (size_t)size);
    if (size < 0) {
        int rc = -errno;

        (void)close(fd);
        return rc;
    }
    (void)close(fd);
    digest_text(&d, ret_text);
    return 0;
}
