/* symbols.c: the functions that a loaded module exports, from the table of
 * dynamic symbols that the loader keeps mapped. */
#include "symbols.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <stddef.h>
#include <stdint.h>

/* What PT_DYNAMIC says of the symbols. */
struct table {
    const ElfW(Sym) * symbols;
    const char *strings;
    const uint32_t *gnu_hash;
    const uint32_t *sysv_hash;
};

static struct table read_dynamic(const ElfW(Dyn) * d)
{
    struct table t = {0};

    for (; d->d_tag != DT_NULL; d++) {
        /* glibc has relocated these already */
        // NOLINTNEXTLINE(performance-no-int-to-ptr): ELF has numbers here
        const void *at = (const void *)d->d_un.d_ptr;

        if (d->d_tag == DT_SYMTAB)
            t.symbols = at;
        else if (d->d_tag == DT_STRTAB)
            t.strings = at;
        else if (d->d_tag == DT_GNU_HASH)
            t.gnu_hash = at;
        else if (d->d_tag == DT_HASH)
            t.sysv_hash = at;
    }
    return t;
}

/* Neither table says how many symbols there are. In DT_HASH it is the number of
 * chains; in DT_GNU_HASH the end of the last chain, whose last word is odd. */
static uint32_t count_symbols(const struct table *t)
{
    const uint32_t *h = t->gnu_hash;
    const uint32_t *buckets;
    const uint32_t *chains;
    uint32_t last = 0;

    if (t->sysv_hash)
        return t->sysv_hash[1];
    if (!h)
        return 0;
    buckets = h + 4 + (size_t)h[2] * (sizeof(ElfW(Addr)) / sizeof *h);
    chains = buckets + h[0];
    for (uint32_t i = 0; i < h[0]; i++)
        if (buckets[i] > last)
            last = buckets[i];
    if (last < h[1])
        return h[1];
    while (!(chains[last - h[1]] & 1))
        last++;
    return last + 1;
}

static int is_function(const ElfW(Sym) * s)
{
    /* the type and the binding lie in the same bits in both classes */
    unsigned type = ELF64_ST_TYPE(s->st_info);

    return s->st_shndx != SHN_UNDEF &&
           (type == STT_FUNC || type == STT_GNU_IFUNC);
}

int symbols_each(void *module, void (*visit)(void *ctx, const char *name),
                 void *ctx)
{
    const struct link_map *map;
    struct table t;
    uint32_t n;

    if (dlinfo(module, RTLD_DI_LINKMAP, (void *)&map) < 0)
        return -1;
    t = read_dynamic(map->l_ld);
    if (!t.symbols || !t.strings)
        return -1;
    n = count_symbols(&t);
    for (uint32_t i = 0; i < n; i++)
        if (is_function(&t.symbols[i]))
            visit(ctx, t.strings + t.symbols[i].st_name);
    return 0;
}

int symbols_is_function(void *address)
{
    const ElfW(Sym) *symbol = NULL;
    Dl_info info;

    if (!dladdr1(address, &info, (void **)&symbol, RTLD_DL_SYMENT))
        return 0;
    return !symbol || is_function(symbol);
}
