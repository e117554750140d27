/* digest.h: a 128-bit digest of bytes (FNV-1a): names for things in a cache that
 * belongs to one user. No defence against somebody who looks for collisions. */
#ifndef CLI_DIGEST_H
#define CLI_DIGEST_H

#include <stddef.h>

struct digest {
    unsigned __int128 state;
};

enum { DIGEST_TEXT_BYTES = 33 };

void digest_init(struct digest *d);
void digest_add(struct digest *d, const void *bytes, size_t size);
/* A string and the byte of 0 at its end, so that two strings differ from one. */
void digest_add_string(struct digest *d, const char *string);
/* Hexadecimal digits. */
void digest_text(const struct digest *d, char ret_text[DIGEST_TEXT_BYTES]);
/* The digest of a file's content. Returns 0 or -errno. */
int digest_file(const char *path, char ret_text[DIGEST_TEXT_BYTES]);

#endif
