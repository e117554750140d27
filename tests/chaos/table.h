/* table.h: what the tests of isolation saw, as rows for `make torture`. */
#ifndef TESTS_CHAOS_TABLE_H
#define TESTS_CHAOS_TABLE_H

struct table_row {
    const char *deed;
    const char *model;
    const char *outcome;
    unsigned long done;    /* innocents */
    unsigned long lost;    /* innocents without an outcome of their own */
    unsigned long charged; /* innocents that did not end well, or tried again */
    unsigned long twice;   /* innocents with two outcomes */
    unsigned long again;   /* innocents started more than once, unseen */
    unsigned long left;    /* processes and files left behind */
};

/* Append it to the file $TORTURE_TABLE, if that is set. */
void table_add(const struct table_row *row);

#endif
