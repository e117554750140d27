/* product.h: several sources of inputs: one input for each combination of their
 * values, the last source changing fastest. Sources that are linked go along with
 * each other, a value of each at a time, up to the end of the shortest. One that is
 * empty counts as one empty value, unless all are. The first source, with those linked
 * to it, is worked on as it arrives; the others are kept in memory. */
#ifndef CLI_PRODUCT_H
#define CLI_PRODUCT_H

#include "options.h"
#include "text.h"

struct product;
struct stream;

/* o         borrowed until product_free()
 * Returns   0, or -1 after saying what cannot be read */
int product_open(const struct options *o, struct product **ret_product);
void product_free(struct product *p); /* accepts NULL */

/* Put the next combination into `ret`: the values, with a byte of 0 between them.
 * Returns   0; MU_EMPTY; MU_TIMEOUT: not there yet; -1: said why */
int product_next(struct product *p, struct text *ret);

/* Before the first: keep what is read, for product_rewind() to go back there. */
void product_hold(struct product *p);
void product_rewind(struct product *p);

/* What the first source is read from; NULL: words. Lent. */
const struct stream *product_stream(const struct product *p);

#endif
