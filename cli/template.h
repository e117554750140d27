/* template.h: the command of `-- command {}`: read once, then filled in for each
 * input. A template is one flat run of bytes without pointers, for it travels to
 * the workers as the argument of the pool. */
#ifndef CLI_TEMPLATE_H
#define CLI_TEMPLATE_H

#include <stddef.h>
#include <stdint.h>

#include "text.h"

enum template_kind {
    TEMPLATE_ARGV = 0, /* words, run as they are */
    TEMPLATE_SHELL,    /* one string, run by sh -c, values quoted */
    TEMPLATE_INPUT     /* the input itself is a command for sh -c */
};

enum template_part {
    PART_TEXT = 0,
    PART_INPUT,        /* {} */
    PART_NO_EXTENSION, /* {.} */
    PART_BASE,         /* {/} */
    PART_DIRECTORY,    /* {//} */
    PART_BASE_NO_EXT,  /* {/.} */
    PART_SEQ,          /* {#} */
    PART_SLOT,         /* {%} */
    PART_END_OF_WORD
};

struct template_segment {
    uint32_t part;
    uint32_t column; /* {2}: of an input that is many; 0: all of it */
    uint32_t offset; /* of PART_TEXT, from the first byte of text */
    uint32_t size;
};

struct template
{
    uint32_t kind;
    uint32_t n_segments;
    uint32_t program; /* where its path begins in the text, + 1; 0: none */
    uint32_t is_many; /* an input is several, with a byte of 0 between them */
    struct template_segment segments[]; /* then the text */
};

/* Options that change how a template is filled in. */
enum template_flags {
    TEMPLATE_NO_APPEND = 1, /* add no {} to a command without one */
    TEMPLATE_MANY = 2       /* an input is several: with a word each */
};

/* Read the words of a command.
 * words     [n_words]; 0 of them: the inputs are commands
 * Returns   0 and *ret_template given, to be freed with free(), its size in
 *           *ret_size; or -1 after saying what is wrong */
int template_read(char *const *words, size_t n_words, unsigned flags,
                  struct template **ret_template, size_t *ret_size);

/* What takes the places of {}, {#} and {%}. */
struct template_values {
    const char *input;
    size_t input_size;
    uint64_t seq;
    unsigned slot;
    int is_many; /* for template_expand(): the input is several */
};

/* Append the words, each with a byte of 0 at its end, or the one string for the
 * shell. Of an input that holds a byte of 0 only what is before it is used, unless
 * it is many. */
void template_fill(const struct template *t, const struct template_values *v,
                   struct text *ret_words);

/* Append the line that a person would type into a shell for the same. */
void template_show(const struct template *t, const struct template_values *v,
                   struct text *ret_line);

/* Append a string with replacement strings, filled in. */
void template_expand(const char *string, const struct template_values *v,
                     struct text *ret);

/* Whether template_expand() fills in all of it.
 * Returns   0, or -1 after saying what it would not */
int template_check(const char *string, int is_many);

/* The part that the replacement string at `text` names, its length in *ret_length and
 * its column, 0 without one; PART_TEXT when there is none. */
enum template_part template_part_at(const char *text, size_t *ret_length,
                                    uint32_t *ret_column);

/* The file to execute, found in PATH when the template was read; NULL when it
 * depends on the input. Lent. */
const char *template_program(const struct template *t);

#endif
