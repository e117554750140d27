/* sha256.c: the SHA-256 of files, as sha256sum prints it.
 *
 *     find /usr/include -type f | muster map -k sha256.c:sum
 *     muster map -k --each file --tag sha256.c:digest ::: /usr/include
 *
 * `sum` gets a name and gives sha256sum's line; `digest` gets the contents and
 * gives the digest alone. Both are libcrypto's work; the next comment tells the
 * command to link it. */
/* muster: pkg-config=libcrypto */
#include <errno.h>
#include <fcntl.h>
#include <muster/task.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { HEX_BYTES = 2 * EVP_MAX_MD_SIZE + 1, READ_BYTES = 128 * 1024 };

static void write_hex(const unsigned char *bytes, unsigned size, char *ret_hex)
{
    static const char digits[] = "0123456789abcdef";

    for (unsigned i = 0; i < size; i++) {
        *ret_hex++ = digits[bytes[i] >> 4];
        *ret_hex++ = digits[bytes[i] & 15];
    }
    *ret_hex = '\0';
}

int digest(struct mu_task *task)
{
    unsigned char bytes[EVP_MAX_MD_SIZE];
    char hex[HEX_BYTES];
    unsigned length;
    size_t size;
    const void *data = mu_task_input(task, &size);

    if (!EVP_Digest(data, size, bytes, &length, EVP_sha256(), NULL))
        return EXIT_FAILURE;
    write_hex(bytes, length, hex);
    return mu_task_printf(task, "%s\n", hex);
}

/* Feed all of the file. Returns 0, or what errno says. */
static int feed_file(EVP_MD_CTX *context, int fd)
{
    char buffer[READ_BYTES];
    ssize_t n;

    while ((n = read(fd, buffer, sizeof buffer)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno;
        if (!EVP_DigestUpdate(context, buffer, (size_t)n))
            return ENOMEM;
    }
    return 0;
}

static int digest_file(const char *path, char *ret_hex)
{
    unsigned char bytes[EVP_MAX_MD_SIZE];
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    unsigned length;
    int rc = fd < 0 ? errno : ENOMEM;

    if (fd >= 0 && context && EVP_DigestInit_ex(context, EVP_sha256(), NULL))
        rc = feed_file(context, fd);
    if (rc == 0 && !EVP_DigestFinal_ex(context, bytes, &length))
        rc = ENOMEM;
    if (rc == 0)
        write_hex(bytes, length, ret_hex);
    if (fd >= 0)
        (void)close(fd);
    EVP_MD_CTX_free(context);
    return rc;
}

/* The outcome's code is the error number of a file that cannot be read. */
int sum(struct mu_task *task)
{
    char hex[HEX_BYTES];
    size_t size;
    const char *name = mu_task_input(task, &size);
    char *path = strndup(name, size);
    int rc = path ? digest_file(path, hex) : ENOMEM;

    free(path);
    if (rc != 0)
        return rc;
    return mu_task_printf(task, "%s  %.*s\n", hex, (int)size, name);
}
