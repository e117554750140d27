/* crc32c.c: CRC-32C, reflected, polynomial 0x1edc6f41. */
#include "sys/crc32c.h"

#include <pthread.h>
#include <string.h>

static uint32_t table[256];
static pthread_once_t table_once = PTHREAD_ONCE_INIT;

static void table_make(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;

        for (int k = 0; k < 8; k++)
            crc = crc >> 1 ^ (0x82f63b78 & (0 - (crc & 1)));
        table[i] = crc;
    }
}

static uint32_t crc_by_table(uint32_t crc, const unsigned char *at, size_t size)
{
    (void)pthread_once(&table_once, table_make);
    while (size-- > 0)
        crc = crc >> 8 ^ table[(crc ^ *at++) & 0xff];
    return crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t crc_by_cpu(
    uint32_t crc, const unsigned char *at, size_t size)
{
    uint64_t crc64 = crc;

    for (; size >= 8; size -= 8, at += 8) {
        uint64_t word;

        memcpy(&word, at, sizeof word);
        crc64 = __builtin_ia32_crc32di(crc64, word);
    }
    crc = (uint32_t)crc64;
    while (size-- > 0)
        crc = __builtin_ia32_crc32qi(crc, *at++);
    return crc;
}

static int has_cpu_crc(void)
{
    return __builtin_cpu_supports("sse4.2");
}
#else
static uint32_t crc_by_cpu(uint32_t crc, const unsigned char *at, size_t size)
{
    return crc_by_table(crc, at, size);
}

static int has_cpu_crc(void)
{
    return 0;
}
#endif

uint32_t mui_crc32c(uint32_t crc, const void *bytes, size_t size)
{
    crc = ~crc;
    crc = has_cpu_crc() ? crc_by_cpu(crc, bytes, size)
                        : crc_by_table(crc, bytes, size);
    return ~crc;
}
