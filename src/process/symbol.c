/* symbol.c: names for the frames of a crash, by libdw, which is loaded for the first,
 * as libstdc++ is for the first name of a C++ function.
 *
 * The files are looked at here, in the supervisor, when somebody asks; never in
 * the process that crashed. What was opened last is kept: frames of one backtrace
 * lie in few modules. */
#include "process/symbol.h"

#include <elfutils/libdwfl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sys/forked.h"
#include "sys/library.h"
#include "sys/module.h"

/* NAME_SHOWN: of a name, so that where it is has room behind that of a template. */
enum { OFFSET_BITS = 48, N_KEPT = 4, NAME_SHOWN = 120 };

struct file {
    const char *path; /* lent by sys/module.c */
    Dwfl *dwfl;
    Dwfl_Module *module;
    GElf_Addr bias;
};

#define FUNCTIONS(F)                                                           \
    F(dwfl_begin)                                                              \
    F(dwfl_end)                                                                \
    F(dwfl_report_offline)                                                     \
    F(dwfl_report_end)                                                         \
    F(dwfl_module_getelf)                                                      \
    F(dwfl_module_addrname)                                                    \
    F(dwfl_module_getsrc)                                                      \
    F(dwfl_module_nextcu)                                                      \
    F(dwarf_haspc)                                                             \
    F(dwarf_getsrc_die)                                                        \
    F(dwarf_linesrc)                                                           \
    F(dwarf_lineno)                                                            \
    F(dwfl_lineinfo)                                                           \
    F(dwfl_standard_find_debuginfo)                                            \
    F(dwfl_offline_section_address)
MUI_LIBRARY(library, dw, MUSTER_LIBDW, FUNCTIONS);

/* Itanium C++ ABI, 3.4 "Demangler API": the name is its own.
 * NOLINTNEXTLINE(readability-identifier-naming) */
char *__cxa_demangle(const char *name, char *buffer, size_t *size, int *ret_rc);
#define CXX_FUNCTIONS(F) F(__cxa_demangle)
MUI_LIBRARY(cxx_library, cxx, "libstdc++.so.6", CXX_FUNCTIONS);

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct file kept[N_KEPT];
static unsigned i_oldest;

static Dwfl_Callbacks callbacks; /* of the library */

/* Another thread may have been inside of the library with what is kept: that is left
 * where it is, and the child opens its own. */
static void renew_in_child(void)
{
    mui_forked_renew_lock(&lock);
    memset(kept, 0, sizeof kept);
}

/* Under `lock`. */
static int open_file(const char *path, struct file *ret)
{
    struct file file = {.path = path};

    if (mui_library_load(&library) < 0)
        return -1;
    callbacks.find_debuginfo = dw.dwfl_standard_find_debuginfo;
    callbacks.section_address = dw.dwfl_offline_section_address;
    file.dwfl = dw.dwfl_begin(&callbacks);
    if (!file.dwfl)
        return -1;
    file.module = dw.dwfl_report_offline(file.dwfl, path, path, -1);
    if (!file.module || dw.dwfl_report_end(file.dwfl, NULL, NULL) != 0 ||
        !dw.dwfl_module_getelf(file.module, &file.bias)) {
        dw.dwfl_end(file.dwfl);
        return -1;
    }
    *ret = file;
    return 0;
}

/* Under `lock`. NULL: it cannot be read. */
static const struct file *find_file(const char *path)
{
    struct file *place = &kept[i_oldest];
    struct file file;

    for (unsigned i = 0; i < N_KEPT; i++)
        if (kept[i].path == path)
            return &kept[i];
    if (open_file(path, &file) < 0)
        return NULL;
    if (place->dwfl)
        dw.dwfl_end(place->dwfl);
    *place = file;
    i_oldest = (i_oldest + 1) % N_KEPT;
    return place;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

/* As it was written, or as it is called in the file when nobody can tell. */
static void read_name(const char *symbol, char *text, size_t size)
{
    bool mangled = symbol[0] == '_' && symbol[1] == 'Z';
    char *own = mangled && mui_library_load(&cxx_library) == 0
                    ? cxx.__cxa_demangle(symbol, NULL, NULL, NULL)
                    : NULL;
    size_t length = (size_t)snprintf(text, size, "%s", own ? own : symbol);

    if (length >= size)
        (void)strcpy(text + size - sizeof "...", "...");
    free(own);
}

/* Under `lock`. NULL: it is not known. */
static const char *find_line(const struct file *file, GElf_Addr address,
                             int *ret_number)
{
    Dwfl_Line *line = dw.dwfl_module_getsrc(file->module, address);
    Dwarf_Die *unit = NULL;
    Dwarf_Addr bias;

    if (line)
        return dw.dwfl_lineinfo(line, NULL, ret_number, NULL, NULL, NULL);
    /* that is by a table of addresses (.debug_aranges), which clang does not write */
    while ((unit = dw.dwfl_module_nextcu(file->module, unit, &bias)))
        if (dw.dwarf_haspc(unit, address - bias) > 0) {
            Dwarf_Line *found = dw.dwarf_getsrc_die(unit, address - bias);

            if (found && dw.dwarf_lineno(found, ret_number) == 0)
                return dw.dwarf_linesrc(found, NULL, NULL);
        }
    return NULL;
}

/* Under `lock`. */
static int describe(const struct file *file, uint64_t offset, char *text,
                    size_t size)
{
    GElf_Addr address = file->bias + offset;
    const char *symbol = dw.dwfl_module_addrname(file->module, address);
    char name[NAME_SHOWN] = "?";
    int number = 0;
    const char *source = find_line(file, address, &number);

    if (symbol)
        read_name(symbol, name, sizeof name);
    if (source)
        return snprintf(text, size, "%s (%s:%d)", name, base_name(source),
                        number);
    if (symbol)
        return snprintf(text, size, "%s (%s)", name, base_name(file->path));
    return snprintf(text, size, "%s+0x%llx", base_name(file->path),
                    (unsigned long long)offset);
}

int mui_symbol_describe(uint64_t code, char *text, size_t size)
{
    static _Atomic bool heeds_forks;
    const char *path = mui_module_path((unsigned)(code >> OFFSET_BITS));
    uint64_t offset = code & ((UINT64_C(1) << OFFSET_BITS) - 1);
    const struct file *file;
    int length;

    if (!path)
        return 0;
    mui_forked_heed(&heeds_forks, renew_in_child);
    (void)pthread_mutex_lock(&lock);
    file = find_file(path);
    length = file ? describe(file, offset, text, size)
                  : snprintf(text, size, "%s+0x%llx", base_name(path),
                             (unsigned long long)offset);
    (void)pthread_mutex_unlock(&lock);
    return length;
}
