/* specimens.c: makes images for thumbnails.c out of text files, and damages some.
 *
 *     specimens FOLDER FILE...      specimens images /usr/include/std*.h
 *
 * An image shows a file as a map does from afar: a bright dot for each character,
 * in a colour of the file's own. Every fifth is damaged, in five ways by turns. */
#include <stb_image_write.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { RGB = 3, WIDTH = 240, HEIGHT = 240, DOT = 3, EVERY = 5 };

enum damage {
    TRUNCATED = 0,
    WILD_OFFSET,
    ENDLESS,
    BOMB,
    NOISE,
    N_DAMAGES,
    NONE
};

static const char *const damage_names[] = {
    [TRUNCATED] = "truncated", [WILD_OFFSET] = "wild-offset",
    [ENDLESS] = "endless",     [BOMB] = "bomb",
    [NOISE] = "noise",         [NONE] = "good",
};

struct bytes {
    uint8_t *data;
    size_t size;
};

static void append(void *context, void *data, int size)
{
    struct bytes *b = context;
    uint8_t *larger = realloc(b->data, b->size + (size_t)size);

    if (!larger)
        abort();
    memcpy(larger + b->size, data, (size_t)size);
    b->data = larger;
    b->size += (size_t)size;
}

static void dot(uint8_t *pixels, unsigned column, unsigned line,
                const uint8_t *colour)
{
    for (unsigned y = line * DOT; y < line * DOT + DOT - 1; y++)
        for (unsigned x = column * DOT; x < column * DOT + DOT - 1; x++)
            memcpy(pixels + ((size_t)y * WIDTH + x) * RGB, colour, RGB);
}

static void draw(uint8_t *pixels, FILE *text, unsigned hue)
{
    uint8_t paper[RGB];
    uint8_t ink[RGB];
    unsigned column = 0;
    unsigned line = 1;
    int c;

    for (unsigned i = 0; i < RGB; i++) {
        paper[i] = (uint8_t)(20 + (hue >> (8 * i)) % 60);
        ink[i] = (uint8_t)(paper[i] + 60 + (hue >> (5 * i)) % 110);
    }
    for (size_t i = 0; i < (size_t)WIDTH * HEIGHT; i++)
        memcpy(pixels + i * RGB, paper, RGB);
    while ((c = getc(text)) != EOF && line < HEIGHT / DOT - 1) {
        if (c == '\n')
            line++;
        column = c == '\n' ? 0 : column + 1;
        if (c > ' ' && column < WIDTH / DOT - 1)
            dot(pixels, column, line, ink);
    }
}

/* Behind the first two bytes of a JPEG: the orientation, as thumbnails.c reads it. */
static void insert_exif(struct bytes *b, enum damage damage,
                        uint8_t orientation)
{
    enum { LENGTH_AT = 2, OFFSET_AT = 18, VALUE_AT = 46 };
    static const uint8_t head[] = {0xFF, 0xE1, 0,  64, 'E', 'x', 'i', 'f', 0, 0,
                                   'I',  'I',  43, 0,  8,   0,   0,   0,   16};
    uint8_t block[66] = {0};

    memcpy(block, head, sizeof head);
    block[VALUE_AT] = orientation;
    if (damage == WILD_OFFSET) { /* 2^46 to 2^47 bytes back */
        memset(block + OFFSET_AT, 0xFF, 8);
        block[OFFSET_AT + 5] = 0xA0;
    }
    if (damage == ENDLESS)
        memset(block + LENGTH_AT, 0,
               3); /* a segment of no length, and no EXIF */
    append(b, block, sizeof block);
    memmove(b->data + 2 + sizeof block, b->data + 2,
            b->size - 2 - sizeof block);
    memcpy(b->data + 2, block, sizeof block);
}

static void spoil_png(struct bytes *b, enum damage damage)
{
    static const uint8_t side[] = {0, 0, 0x3A, 0x98}; /* 15,000 */

    if (damage == TRUNCATED)
        b->size /= 3;
    if (damage == BOMB) {
        memcpy(b->data + 16, side,
               sizeof side); /* its width: a header says so */
        memcpy(b->data + 20, side, sizeof side);
    }
    if (damage == NOISE)
        for (size_t i = b->size / 2; i < b->size / 2 + 200 && i < b->size; i++)
            b->data[i] ^= (uint8_t)(i * 37 + 11);
}

static int make_image(const char *folder, unsigned i_image, const char *source)
{
    static uint8_t pixels[WIDTH * HEIGHT * RGB];
    enum damage damage = i_image % EVERY == EVERY - 1
                             ? (enum damage)(i_image / EVERY % N_DAMAGES)
                             : NONE;
    int is_jpeg = damage == NONE ? i_image % 2
                                 : damage == WILD_OFFSET || damage == ENDLESS;
    struct bytes b = {.data = NULL};
    char path[4096];
    FILE *file = fopen(source, "re");
    int rc = -1;

    if (!file)
        return -1;
    draw(pixels, file, (i_image + 1) * 2654435761U);
    (void)fclose(file);
    if (is_jpeg) {
        stbi_write_jpg_to_func(append, &b, WIDTH, HEIGHT, RGB, pixels, 90);
        insert_exif(&b, damage, i_image % 7 == 3 ? 3 : 1);
    } else {
        stbi_write_png_to_func(append, &b, WIDTH, HEIGHT, RGB, pixels, 0);
        spoil_png(&b, damage);
    }
    (void)snprintf(path, sizeof path, "%s/%03u-%s.%s", folder, i_image,
                   damage_names[damage], is_jpeg ? "jpg" : "png");
    file = fopen(path, "we");
    if (file) {
        rc = fwrite(b.data, 1, b.size, file) == b.size ? 0 : -1;
        if (fclose(file) != 0)
            rc = -1;
    }
    free(b.data);
    return rc;
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        (void)fprintf(stderr, "usage: specimens FOLDER FILE...\n");
        return EXIT_FAILURE;
    }
    (void)mkdir(argv[1], 0777);
    for (int i = 2; i < argc; i++)
        if (make_image(argv[1], (unsigned)i - 2, argv[i]) < 0) {
            (void)fprintf(stderr, "specimens: %s: not made\n", argv[i]);
            return EXIT_FAILURE;
        }
    return EXIT_SUCCESS;
}
