/* test_module.c: functions travel as (module, offset). Walks over what is loaded, and
 * loads, pass here by the linker's help (--wrap, CMakeLists.txt). */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "sys/module.h"

static _Thread_local int n_walks;

/* Whether a load waits until another thread has had the table; how many have. */
static bool wants_others;
static int n_others;

static void *have_table(void *unused)
{
    (void)mui_module_init(NULL);
    return unused;
}

/* As if it was the constructor of another library that is being loaded. */
static void let_another_in(void)
{
    enum { PATIENCE_S = 10 }; /* only who is never let in takes so long */
    struct timespec end;
    pthread_t other;

    (void)clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += PATIENCE_S;
    assert_int_equal(pthread_create(&other, NULL, have_table, NULL), 0);
    if (pthread_timedjoin_np(other, NULL, &end) == 0)
        n_others++;
}

typedef int (*walk_fn)(struct dl_phdr_info *info, size_t size, void *ctx);

/* the linker's names: NOLINTBEGIN(readability-identifier-naming) */
__attribute__((weak)) /* not there without --wrap */
int __real_dl_iterate_phdr(walk_fn fn, void *ctx);
int __wrap_dl_iterate_phdr(walk_fn fn, void *ctx);

int __wrap_dl_iterate_phdr(walk_fn fn, void *ctx)
{
    n_walks++;
    return __real_dl_iterate_phdr(fn, ctx);
}

__attribute__((weak)) void *__real_dlopen(const char *name, int flags);
void *__wrap_dlopen(const char *name, int flags);

void *__wrap_dlopen(const char *name, int flags)
{
    if (wants_others)
        let_another_in();
    return __real_dlopen(name, flags);
}
/* NOLINTEND(readability-identifier-naming) */

int own_function(void);
int own_function(void)
{
    return 41;
}

static void own_function_comes_back(void **state)
{
    uint64_t code;
    uint64_t again;
    void *address;

    (void)state;
    assert_int_equal(mui_module_encode((void *)own_function, &code), 0);
    assert_int_equal(code >> 48, 0);
    assert_int_equal(mui_module_encode((void *)own_function, &again), 0);
    assert_int_equal(code, again);
    assert_int_equal(mui_module_decode(code, &address), 0);
    assert_ptr_equal(address, (void *)own_function);
    assert_int_equal(mui_module_locate((void *)own_function, &again), 0);
    assert_int_equal(code, again);
}

/* A program with many functions pays for the first: the others are not looked for. */
static void functions_of_a_known_module_are_not_looked_for(void **state)
{
    enum { N = 10000, ALIGNMENT = 16 };
    static const char functions[N * ALIGNMENT];
    uint64_t first;
    uint64_t code;
    int n_before;

    (void)state;
    assert_int_equal(mui_module_encode(functions, &first), 0);
    n_before = n_walks;
    for (int turn = 0; turn < 2; turn++)
        for (uint64_t i = 0; i < sizeof functions; i += ALIGNMENT) {
            assert_int_equal(mui_module_encode(functions + i, &code), 0);
            assert_int_equal(code, first + i);
        }
    assert_int_equal(n_walks, n_before);
}

/* lfind: no sanitizer puts one of its own in its place. */
static void function_of_a_library_comes_back(void **state)
{
    uint64_t code;
    void *address;

    (void)state;
    assert_int_equal(mui_module_encode(dlsym(RTLD_DEFAULT, "lfind"), &code), 0);
    assert_int_not_equal(code >> 48, 0);
    assert_non_null(strstr(mui_module_path((unsigned)(code >> 48)), "libc"));
    assert_int_equal(mui_module_decode(code, &address), 0);
    assert_ptr_equal(address, dlsym(RTLD_DEFAULT, "lfind"));
}

static void data_outside_modules_is_refused(void **state)
{
    uint64_t code;
    void *heap = malloc(100);

    (void)state;
    assert_int_equal(mui_module_encode(heap, &code), -EINVAL);
    assert_int_equal(mui_module_encode(NULL, &code), -EINVAL);
    assert_int_equal(mui_module_locate(heap, &code), -EINVAL);
    free(heap);
}

static void forged_code_is_refused(void **state)
{
    void *address;

    (void)state;
    assert_int_equal(mui_module_decode(UINT64_C(1000) << 48, &address),
                     -ENOENT);
    assert_int_equal(mui_module_decode((UINT64_C(1) << 48) - 1, &address),
                     -EINVAL);
}

/* A library that only the parent loads, after the fork, is loaded by the child;
 * and the child cannot write the table. */
static void child_loads_what_parent_loaded_later(void **state)
{
    int go[2];
    uint64_t code = 0;
    void *library;
    int status;
    pid_t child;

    (void)state;
    assert_int_equal(mui_module_init(NULL), 0);
    assert_int_equal(pipe(go), 0);
    child = fork();
    if (child == 0) {
        int (*td_init)(void) = NULL;
        void *address;

        alarm(300);
        if (mui_module_seal_in_child() != 0)
            _exit(10);
        if (mprotect((void *)((uintptr_t)mui_module_path(0) & ~4095UL), 4096,
                     PROT_READ | PROT_WRITE) == 0)
            _exit(11);
        if (read(go[0], &code, sizeof code) != sizeof code)
            _exit(12);
        if (mui_module_decode(code, &address) != 0)
            _exit(13);
        memcpy(&td_init, &address, sizeof address);
        _exit(td_init() == 0 ? 0 : 14);
    }
    library = dlopen("libthread_db.so.1", RTLD_LAZY); /* a part of libc6 */
    assert_non_null(library);
    assert_int_equal(mui_module_encode(dlsym(library, "td_init"), &code), 0);
    assert_int_equal(write(go[1], &code, sizeof code), sizeof code);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

/* Let no file be opened; returns how many may be, for allow_files(). */
static rlim_t refuse_files(void)
{
    struct rlimit limit;
    rlim_t before;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    before = limit.rlim_cur;
    limit.rlim_cur = 0;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    return before;
}

static void allow_files(rlim_t n)
{
    struct rlimit limit;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = n;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

/* What was there at the start needs none: the program, and a library. */
static void function_is_found_without_files(void **state)
{
    void *others = dlsym(RTLD_DEFAULT, "_cmocka_run_group_tests");
    uint64_t own = 1;
    uint64_t other = 0;
    rlim_t n;
    int rc;

    (void)state;
    assert_non_null(others);
    assert_int_equal(mui_module_init(NULL), 0);
    n = refuse_files();
    rc = mui_module_encode((void *)own_function, &own);
    if (rc == 0)
        rc = mui_module_encode(others, &other);
    allow_files(n);
    assert_int_equal(rc, 0);
    assert_int_equal(own >> 48, 0);
    assert_non_null(strstr(mui_module_path((unsigned)(other >> 48)), "cmocka"));
}

/* -- files that change while they are loaded -- */

static char path[] = "/tmp/test-module-XXXXXX";

/* A copy of a library, another file each time, takes a name. */
static void put_library_at(const char *name)
{
    void *library = dlopen("libthread_db.so.1", RTLD_LAZY);
    char fresh[sizeof path + 20];
    struct link_map *map;
    struct stat st = {.st_size = 0};
    int from;
    int to;

    assert_non_null(library);
    assert_int_equal(dlinfo(library, RTLD_DI_LINKMAP, &map), 0);
    (void)snprintf(fresh, sizeof fresh, "%s.new", name);
    from = open(map->l_name, O_RDONLY);
    to = open(fresh, O_WRONLY | O_CREAT | O_EXCL, 0700);
    assert_true(from >= 0 && to >= 0 && fstat(from, &st) == 0);
    assert_int_equal(sendfile(to, from, NULL, (size_t)st.st_size), st.st_size);
    assert_int_equal(rename(fresh, name), 0);
    assert_int_equal(close(from) | close(to) | dlclose(library), 0);
}

static void put_library(void)
{
    put_library_at(path);
}

static int begin(void **state)
{
    int fd = mkstemp(path);

    (void)state;
    /* of those that have its name the linker takes the first: no copy */
    if (!dlopen("libthread_db.so.1", RTLD_LAZY))
        return -1;
    return fd < 0 || close(fd) < 0 || mui_module_init(NULL) < 0 ? -1 : 0;
}

static int end(void **state)
{
    (void)state;
    (void)unlink(path);
    (void)strcpy(path + sizeof path - 7, "XXXXXX");
    return 0;
}

/* A child that decodes what is written to *ret_go. */
static pid_t start_child(int *ret_go)
{
    int go[2];
    pid_t child;

    assert_int_equal(pipe(go), 0);
    child = fork();
    if (child == 0) {
        uint64_t code;
        void *address;

        alarm(300);
        if (read(go[0], &code, sizeof code) != sizeof code)
            _exit(10);
        _exit(-mui_module_decode(code, &address));
    }
    (void)close(go[0]);
    *ret_go = go[1];
    return child;
}

/* What it got: 0 or a negated errno. */
static int ask_child(pid_t child, int go, uint64_t code)
{
    int status;

    assert_int_equal(write(go, &code, sizeof code), sizeof code);
    assert_int_equal(waitpid(child, &status, 0), child);
    (void)close(go);
    assert_true(WIFEXITED(status));
    return -WEXITSTATUS(status);
}

/* The linker's lock is taken before ours: the constructor of a library that somebody loads
 * meanwhile may submit a task. */
static void others_have_the_table_during_a_load(void **state)
{
    uint64_t code;
    void *library;
    void *address;
    int status;
    pid_t child;
    int go[2];

    (void)state;
    if (!__real_dlopen)
        skip();
    put_library();
    assert_int_equal(pipe(go), 0);
    child = fork();
    if (child == 0) { /* it loads it by the code */
        alarm(300);
        wants_others = true;
        if (read(go[0], &code, sizeof code) != sizeof code ||
            mui_module_decode(code, &address) != 0)
            _exit(10);
        _exit(n_others > 0 ? 0 : 11);
    }
    library = dlopen(path, RTLD_LAZY);
    assert_non_null(library);
    address = dlsym(library, "td_init");
    wants_others = true;
    n_others = 0;
    status = mui_module_encode(address, &code);
    wants_others = false;
    assert_int_equal(status, 0);
    assert_int_equal(n_others, 1);
    assert_int_equal(write(go[1], &code, sizeof code), sizeof code);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    (void)close(go[0]);
    (void)close(go[1]);
}

/* Who has it loaded uses it, whatever is in its place by now; who has not is refused,
 * for at the same offset there may be another function. */
static void replaced_library_is_not_taken_for_the_other(void **state)
{
    uint64_t code;
    void *library;
    void *address;
    pid_t later;
    pid_t earlier;
    int go[2];

    (void)state;
    put_library();
    earlier = start_child(&go[0]);
    library = dlopen(path, RTLD_LAZY);
    assert_non_null(library);
    later = start_child(&go[1]);
    put_library();
    assert_int_equal(mui_module_encode(dlsym(library, "td_init"), &code), 0);
    assert_int_equal(mui_module_decode(code, &address), 0);
    assert_ptr_equal(address, dlsym(library, "td_init"));
    assert_int_equal(ask_child(later, go[1], code), 0);
    assert_int_equal(ask_child(earlier, go[0], code), -ELIBACC);
}

/* What came since can be told only with a file, and it is said so. */
static void later_library_without_files_is_told(void **state)
{
    uint64_t code;
    void *library;
    rlim_t n;
    int rc;

    (void)state;
    put_library();
    library = dlopen(path, RTLD_LAZY);
    assert_non_null(library);
    n = refuse_files();
    rc = mui_module_encode(dlsym(library, "td_init"), &code);
    allow_files(n);
    assert_int_equal(rc, -EMFILE);
    assert_int_equal(mui_module_encode(dlsym(library, "td_init"), &code), 0);
    assert_string_equal(mui_module_path((unsigned)(code >> 48)), path);
}

/* One that no task is of may go, and another come where it was. */
static void library_in_the_place_of_another_is_not_taken_for_it(void **state)
{
    char other[sizeof path + 6];
    void *library;
    uint64_t code;

    (void)state;
    put_library();
    library = dlopen(path, RTLD_LAZY);
    assert_non_null(library);
    (void)snprintf(other, sizeof other, "%s.other", path);
    put_library_at(other);
    /* all that is loaded is looked at, for this one came since */
    assert_non_null(dlopen(other, RTLD_LAZY));
    assert_int_equal(
        mui_module_encode(dlsym(dlopen(other, RTLD_LAZY), "td_init"), &code),
        0);
    assert_int_equal(dlclose(library), 0);
    put_library(); /* another file */
    (void)snprintf(other, sizeof other, "%s.third", path);
    assert_int_equal(rename(path, other), 0);
    library = dlopen(other, RTLD_LAZY);
    assert_non_null(library);
    assert_int_equal(mui_module_encode(dlsym(library, "td_init"), &code), 0);
    assert_string_equal(mui_module_path((unsigned)(code >> 48)), other);
    assert_int_equal(unlink(other), 0);
    (void)snprintf(other, sizeof other, "%s.other", path);
    assert_int_equal(unlink(other), 0);
}

/* What is loaded needs no file, and stays: also where it goes by another name. */
static void removed_library_stays(void **state)
{
    char link[sizeof path + 5];
    uint64_t code;
    void *library;
    void *address;
    void *again;

    (void)state;
    put_library();
    (void)snprintf(link, sizeof link, "%s.link", path);
    assert_int_equal(symlink(path, link), 0);
    library = dlopen(link, RTLD_LAZY);
    assert_non_null(library);
    assert_int_equal(unlink(path) | unlink(link), 0);
    address = dlsym(library, "td_init");
    assert_int_equal(mui_module_encode(address, &code), 0);
    assert_int_equal(dlclose(library), 0);
    library = dlopen(link, RTLD_LAZY | RTLD_NOLOAD);
    assert_non_null(library);
    assert_int_equal(mui_module_decode(code, &again), 0);
    assert_ptr_equal(again, address);
}

/* Encode a function of a library of that name, as what lies at that name. */
static uint64_t encode_of(void *library, const char *name)
{
    uint64_t code;

    assert_non_null(library);
    assert_int_equal(mui_module_encode(dlsym(library, "td_init"), &code), 0);
    assert_string_equal(mui_module_path((unsigned)(code >> 48)), name);
    return code;
}

/* /proc/self/maps writes a newline as \012, which a name may have itself, and adds
 * " (deleted)", which too. */
static void library_of_a_strange_name_is_loaded(void **state)
{
    static const char *const ends[] = {"\n",           "\\012",
                                       "\\012\n\\012", "\\0\\012",
                                       " (deleted)",   "\n (deleted)"};
    char name[sizeof path + 20];

    (void)state;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        pid_t child;
        int go;

        (void)snprintf(name, sizeof name, "%s%s", path, ends[i]);
        put_library_at(name);
        child = start_child(&go);
        assert_int_equal(
            ask_child(child, go, encode_of(dlopen(name, RTLD_LAZY), name)), 0);
        assert_int_equal(unlink(name), 0);
    }
}

static void removed_library_is_not_another_with_its_suffix(void **state)
{
    char name[sizeof path + 20];
    void *library;
    pid_t child;
    int go;

    (void)state;
    put_library();
    child = start_child(&go);
    library = dlopen(path, RTLD_LAZY);
    assert_int_equal(unlink(path), 0);
    (void)snprintf(name, sizeof name, "%s (deleted)", path);
    put_library_at(name);
    assert_int_equal(ask_child(child, go, encode_of(library, path)), -ELIBACC);
    assert_int_equal(unlink(name), 0);
}

/* In a process that looks when the file is gone. */
static void removed_library_of_a_strange_name_stays(void **state)
{
    char name[sizeof path + 20];
    void *library;
    uint64_t code;
    pid_t child;
    int go;

    (void)state;
    (void)snprintf(name, sizeof name, "%s\n", path);
    put_library_at(name);
    library = dlopen(name, RTLD_LAZY);
    child = start_child(&go);
    code = encode_of(library, name);
    assert_int_equal(unlink(name), 0);
    assert_int_equal(ask_child(child, go, code), 0);
}

static void tell(int fd)
{
    assert_int_equal(write(fd, "", 1), 1);
}

/* Whether it was told so. */
static bool is_told(int fd)
{
    char byte;

    return read(fd, &byte, 1) == 1;
}

/* Add a library to the table of this process: where it stands there, or -1. */
static int add_library(const char *name)
{
    void *library = dlopen(name, RTLD_LAZY);
    uint64_t code;

    return library && mui_module_encode(dlsym(library, "td_init"), &code) == 0
               ? (int)(code >> 48)
               : -1;
}

static bool is_at(int place, const char *name)
{
    const char *there = mui_module_path((unsigned)place);

    return there && strcmp(there, name) == 0;
}

/* Above all places of modules. */
enum { LOST = 200, MOVED, HIDDEN, LEAKED };

/* Where the library of the child stands for it, and for one of its own, as its nursery
 * is: also once its parent has added another. */
static int add_in_child(int told, int tells)
{
    char name[sizeof path + 6];
    int status = 1;
    int place;
    pid_t child;

    (void)snprintf(name, sizeof name, "%s.child", path);
    place = add_library(name);
    if (place < 0 || !is_at(place, name))
        return LOST;
    tell(tells);
    if (!is_told(told) || !is_at(place, name))
        return MOVED;
    child = fork();
    if (child == 0)
        _exit(mui_module_seal_in_child() == 0 && is_at(place, name) ? 0 : 1);
    if (waitpid(child, &status, 0) != child || status != 0)
        return HIDDEN;
    return place;
}

static int n_files(void)
{
    int n = 0;

    for (int fd = 0; fd < 256; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

/* It has the table of its parent until it adds to it; then neither finds a library of the
 * other where its own is. */
static void child_adds_to_a_table_of_its_own(void **state)
{
    char name[sizeof path + 6];
    int to_child[2];
    int to_parent[2];
    int status;
    int place;
    pid_t child;

    (void)state;
    (void)snprintf(name, sizeof name, "%s.child", path);
    put_library_at(name);
    put_library();
    assert_int_equal(pipe(to_child) | pipe(to_parent), 0);
    child = fork();
    if (child == 0) {
        int n_before = n_files();

        alarm(300);
        place = add_in_child(to_child[0], to_parent[1]);
        _exit(n_files() == n_before ? place : LEAKED);
    }
    (void)close(to_parent[1]);
    assert_true(is_told(to_parent[0]));
    place = add_library(path);
    assert_true(place > 0);
    tell(to_child[1]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), place);
    assert_true(is_at(place, path));
    assert_int_equal(close(to_child[0]) | close(to_child[1]), 0);
    assert_int_equal(close(to_parent[0]), 0);
    assert_int_equal(unlink(name), 0);
}

/* -- while others encode -- */

enum { N_COPIES = 24, N_READERS = 3, N_OFFSETS = 64 };

static struct copy {
    char name[sizeof path + 8];
    const char *function;
    uint64_t offset;
} copies[N_COPIES];
/* relaxed, both: what threads have of modules may come from the modules alone */
static _Atomic int n_encoded;
static _Atomic bool is_over;

/* Any thread: no assertions. */
static bool encodes_right(const struct copy *copy, unsigned i)
{
    uint64_t code;
    const char *file;

    if (mui_module_encode(copy->function + i, &code) != 0)
        return false;
    file = mui_module_path((unsigned)(code >> 48));
    return file && strcmp(file, copy->name) == 0 &&
           (code & ((UINT64_C(1) << 48) - 1)) == copy->offset + i;
}

static void *encode_all(void *arg)
{
    size_t n_wrong = 0;
    bool last;

    do {
        last = atomic_load_explicit(&is_over, memory_order_relaxed);
        for (int i = atomic_load_explicit(&n_encoded, memory_order_relaxed);
             i-- > 0;)
            for (unsigned offset = 0; offset < N_OFFSETS; offset++)
                n_wrong += !encodes_right(&copies[i], offset);
    } while (!last);
    return n_wrong ? arg : NULL;
}

static void load_copy(struct copy *copy, int i)
{
    struct link_map *map;
    void *library;

    (void)snprintf(copy->name, sizeof copy->name, "%s.%d", path, i);
    put_library_at(copy->name);
    library = dlopen(copy->name, RTLD_LAZY);
    assert_non_null(library);
    assert_int_equal(unlink(copy->name), 0);
    assert_int_equal(dlinfo(library, RTLD_DI_LINKMAP, &map), 0);
    copy->function = dlsym(library, "td_init");
    copy->offset = (uintptr_t)copy->function - map->l_addr;
}

/* Functions of all are found without a look at what is loaded. */
static void modules_are_found_whichever_came_first(void **state)
{
    static struct copy three[3];
    static const int order[] = {1, 0, 2};
    uint64_t code;
    int n_before;

    (void)state;
    for (int i = 0; i < 3; i++)
        load_copy(&three[i], i);
    for (int i = 0; i < 3; i++)
        assert_int_equal(mui_module_encode(three[order[i]].function, &code), 0);
    n_before = n_walks;
    for (int i = 0; i < 3; i++)
        assert_true(encodes_right(&three[i], 1));
    assert_int_equal(n_walks, n_before);
}

/* Threads that take no lock find them. */
static void modules_may_come_while_others_encode(void **state)
{
    pthread_t readers[N_READERS];
    uint64_t code;
    bool wrong = false;
    int n_before;

    (void)state;
    for (int i = 0; i < N_COPIES; i++)
        load_copy(&copies[i], i);
    for (int i = 0; i < N_READERS; i++)
        assert_int_equal(
            pthread_create(&readers[i], NULL, encode_all, &is_over), 0);
    for (int i = 0; i < N_COPIES; i++) {
        assert_int_equal(mui_module_encode(copies[i].function, &code), 0);
        atomic_store_explicit(&n_encoded, i + 1, memory_order_relaxed);
    }
    atomic_store_explicit(&is_over, true, memory_order_relaxed);
    for (int i = 0; i < N_READERS; i++) {
        void *ret;

        assert_int_equal(pthread_join(readers[i], &ret), 0);
        wrong |= ret != NULL;
    }
    assert_false(wrong);
    n_before = n_walks;
    for (int i = 0; i < N_COPIES; i++)
        assert_true(encodes_right(&copies[i], 1));
    assert_int_equal(n_walks, n_before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(function_is_found_without_files), /* first of all */
        cmocka_unit_test(own_function_comes_back),
        cmocka_unit_test(functions_of_a_known_module_are_not_looked_for),
        cmocka_unit_test(function_of_a_library_comes_back),
        cmocka_unit_test(data_outside_modules_is_refused),
        cmocka_unit_test(forged_code_is_refused),
        cmocka_unit_test(child_loads_what_parent_loaded_later),
        cmocka_unit_test_setup_teardown(others_have_the_table_during_a_load,
                                        begin, end),
        cmocka_unit_test_setup_teardown(
            replaced_library_is_not_taken_for_the_other, begin, end),
        cmocka_unit_test_setup_teardown(later_library_without_files_is_told,
                                        begin, end),
        cmocka_unit_test_setup_teardown(
            library_in_the_place_of_another_is_not_taken_for_it, begin, end),
        cmocka_unit_test_setup_teardown(removed_library_stays, begin, end),
        cmocka_unit_test_setup_teardown(library_of_a_strange_name_is_loaded,
                                        begin, end),
        cmocka_unit_test_setup_teardown(
            removed_library_is_not_another_with_its_suffix, begin, end),
        cmocka_unit_test_setup_teardown(removed_library_of_a_strange_name_stays,
                                        begin, end),
        cmocka_unit_test_setup_teardown(child_adds_to_a_table_of_its_own, begin,
                                        end),
        cmocka_unit_test_setup_teardown(modules_are_found_whichever_came_first,
                                        begin, end),
        cmocka_unit_test_setup_teardown(modules_may_come_while_others_encode,
                                        begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
