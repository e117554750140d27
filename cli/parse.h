/* parse.h: numbers and bytes of the command line, as GNU parallel writes them. */
#ifndef CLI_PARSE_H
#define CLI_PARSE_H

#include <stdint.h>

/* Each returns 0, or -1 for text that is nothing such; says nothing. */

/* What sizes and durations stay below. */
#define PARSE_BYTES_END   "8192P"
#define PARSE_SECONDS_END "9000000000"

/* Decimal digits alone. */
int parse_count(const char *text, uint64_t *ret_count);

/* One byte: itself, or an escape of C for it: "\n", "\0", "\x41", "\101". */
int parse_byte(const char *text, char *ret_byte);

/* "64K", "1.5M", "2g", "1Gi": K M G T P and Ki Mi ... are powers of 1024, k m g t p
 * powers of 1000. */
int parse_size(const char *text, uint64_t *ret_bytes);

/* Seconds, or a sum of parts with s, m, h, d: "90", "1.5m", "1d3.5h16.6m4s". */
int parse_duration(const char *text, int64_t *ret_ns);

/* The jobs at a time of -j: "4", "150%", "+2", "-1", or 0 for "0": as many as can
 * be. Percent and sums start from n_cpus; fractions round up; at least 1. */
int parse_jobs(const char *text, unsigned n_cpus, unsigned *ret_jobs);

#endif
