/* visible.c: control characters as C writes them, \n and \033; all else that is UTF-8
 * as it is. Backslashes stay single: nobody reads this back. */
#include "visible.h"

#include <string.h>

/* U+0080 to U+009F are controls too: the second of them has eight bits of escape. */
static int is_control(const unsigned char *b, size_t length)
{
    return length == 1 ? b[0] < 0x20 || b[0] == 0x7f
                       : length == 2 && b[0] == 0xc2 && b[1] < 0xa0;
}

static size_t put_octal(char *form, unsigned char c)
{
    form[0] = '\\';
    form[1] = (char)('0' + (c >> 6));
    form[2] = (char)('0' + (c >> 3 & 7));
    form[3] = (char)('0' + (c & 7));
    return 4;
}

size_t visible_next(const char *bytes, size_t size,
                    char ret_form[VISIBLE_BYTES], size_t *ret_size)
{
    static const char named[] = "\a\b\t\n\v\f\r";
    const unsigned char *b = (const unsigned char *)bytes;
    size_t length = text_utf8_length(bytes, size);
    const char *letter = *bytes ? strchr(named, *bytes) : NULL;

    *ret_size = 0;
    if (letter) {
        ret_form[0] = '\\';
        ret_form[1] = "abtnvfr"[letter - named];
        *ret_size = 2;
        return 1;
    }
    if (length == 0 || is_control(b, length)) {
        length = length ? length : 1;
        for (size_t i = 0; i < length; i++)
            *ret_size += put_octal(ret_form + *ret_size, b[i]);
        return length;
    }
    memcpy(ret_form, bytes, length);
    *ret_size = length;
    return length;
}

void visible_put(struct text *t, const char *bytes, size_t size)
{
    char form[VISIBLE_BYTES];
    size_t n;

    text_append(t, "", 0);
    for (size_t i = 0; i < size; text_append(t, form, n))
        i += visible_next(bytes + i, size - i, form, &n);
}
