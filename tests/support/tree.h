/* tree.h: a folder that stands for "/", with made-up files of /proc and /sys. */
#ifndef TEST_TREE_H
#define TEST_TREE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char root[64];

static int make_root(void **state)
{
    (void)state;
    strcpy(root, "/tmp/muster-test-XXXXXX");
    return mkdtemp(root) ? 0 : -1;
}

static int remove_root(void **state)
{
    char command[128];

    (void)state;
    (void)snprintf(command, sizeof command, "rm -rf '%s'", root);
    return system(command);
}

/* The file `name`, in which %d is our number, in the tree. */
static const char *path_of(const char *name)
{
    static char path[512];
    char tail[400];

    /* cppcheck-suppress wrongPrintfScanfArgNum; names have up to two of them */
    (void)snprintf(tail, sizeof tail, name, (int)getpid(), (int)getpid());
    (void)snprintf(path, sizeof path, "%s%s", root, tail);
    return path;
}

/* A file of that text, and the folders above it. */
static void put(const char *name, const char *text)
{
    char path[512];
    FILE *file;

    strcpy(path, path_of(name));
    for (char *at = strchr(path + strlen(root) + 1, '/'); at;
         at = strchr(at + 1, '/')) {
        *at = '\0';
        (void)mkdir(path, 0700);
        *at = '/';
    }
    file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

#define TREE_TEST(test)                                                        \
    cmocka_unit_test_setup_teardown(test, make_root, remove_root)

#endif
