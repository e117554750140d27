/* thumbnails.c: a contact sheet of a folder of images, of which some are damaged.
 *
 *     thumbnails FOLDER SHEET.png [MODEL]      MODEL is "processes" unless given
 *
 * Decoders are where damaged files do harm. Here each image is decoded by a worker
 * process with a limit of time and of memory; where one ended its task, whatever
 * way, the sheet has a cross and the report has the reason. The program has two
 * bugs that many have had, left in on purpose: see orientation_of().
 *
 * Decoding, scaling and writing are stb_image's, stb_image_resize's and
 * stb_image_write's. specimens.c makes a folder to try it on. */
// NOLINTNEXTLINE(readability-identifier-naming): asprintf()
#define _GNU_SOURCE 1

#include <dirent.h>
#include <errno.h>
#include <muster/muster.h>
#include <stb_image.h>
#include <stb_image_resize.h>
#include <stb_image_write.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    RGB = 3,
    SIDE = 96,   /* of a thumbnail */
    MARGIN = 6,  /* around it, where the colour says how it ended */
    COLUMNS = 8, /* of the sheet */
    CELL = SIDE + 2 * MARGIN,
    IMAGES_MAX = 4096,
};

#define TIMEOUT_NS   INT64_C(5000000000)
#define MEMORY_BYTES (UINT64_C(128) << 20)

/* -- the task: one image -- */

/* The orientation that a camera wrote into a JPEG, 1 to 8; 1 when there is none:
 * the first entry of a directory of BigTIFF, to which an offset leads.
 *
 * Two bugs, on purpose. It steps by the length of each segment, also when that is
 * 0: for ever. And it follows the offset wherever it leads. */
static unsigned orientation_of(const uint8_t *data, size_t size)
{
    enum { OFFSET_AT = 8, VALUE_AT = 20 };
    const uint8_t *at = data + 2;

    while (at + 4 < data + size && at[0] == 0xFF && at[1] != 0xDA) {
        size_t length = (size_t)(at[2] << 8 | at[3]);

        if (at[1] == 0xE1 && memcmp(at + 4, "Exif\0\0II", 8) == 0) {
            const uint8_t *tiff = at + 10;
            int64_t offset;

            memcpy(&offset, tiff + OFFSET_AT, sizeof offset);
            return tiff[offset + VALUE_AT];
        }
        at += length ? length + 2 : 0;
    }
    return 1;
}

/* Turn the picture upside down: the one orientation that is dealt with. */
static void turn(uint8_t *pixels, size_t n_pixels)
{
    for (size_t i = 0, j = n_pixels - 1; i < j; i++, j--)
        for (size_t c = 0; c < RGB; c++) {
            uint8_t kept = pixels[i * RGB + c];

            pixels[i * RGB + c] = pixels[j * RGB + c];
            pixels[j * RGB + c] = kept;
        }
}

/* For a task that failed: what it says instead of a picture. */
static int say_why(struct mu_task *task, int code, const char *why)
{
    mu_task_truncate(task, 0);
    (void)mu_task_printf(task, "%s", why);
    return code;
}

/* Gives SIDE * SIDE pixels. */
static int make_thumbnail(struct mu_task *task)
{
    size_t size;
    const uint8_t *data = mu_task_input(task, &size);
    uint8_t *room = mu_task_reserve(task, SIDE * SIDE * RGB);
    uint8_t *pixels;
    int width;
    int height;
    unsigned orientation = 1;

    if (!room)
        return say_why(task, ENOMEM, "no memory for a thumbnail");
    if (size > 4 && data[0] == 0xFF && data[1] == 0xD8)
        orientation = orientation_of(data, size);
    errno = 0;
    pixels = stbi_load_from_memory(data, (int)size, &width, &height, NULL, RGB);
    if (!pixels) {
        if (errno == ENOMEM)
            return say_why(task, ENOMEM,
                           "too large for the memory it may have");
        return say_why(task, EINVAL, stbi_failure_reason());
    }
    if (!stbir_resize_uint8(pixels, width, height, 0, room, SIDE, SIDE, 0, RGB))
        return say_why(task, ENOMEM, "no memory to scale it");
    stbi_image_free(pixels);
    if (orientation == 3)
        turn(room, SIDE * SIDE);
    mu_task_commit(task, SIDE * SIDE * RGB);
    return 0;
}

/* -- the sheet -- */

struct sheet {
    char *names[IMAGES_MAX]; /* paths */
    size_t n_images;
    size_t i_next; /* the image to submit */
    uint8_t *pixels;
    size_t width;
    size_t height;
    unsigned ended[MU_N_STATUS];
};

static const uint8_t colours[MU_N_STATUS][RGB] = {
    [MU_DONE] = {60, 60, 60},         [MU_FAILED] = {240, 200, 40},
    [MU_CRASHED] = {230, 40, 40},     [MU_EXITED] = {240, 120, 200},
    [MU_TIMED_OUT] = {40, 120, 240},  [MU_OUT_OF_MEMORY] = {170, 60, 220},
    [MU_CANCELLED] = {120, 120, 120}, [MU_LOST] = {255, 255, 255},
};

static void put(struct sheet *s, size_t x, size_t y, const uint8_t *colour)
{
    memcpy(s->pixels + (y * s->width + x) * RGB, colour, RGB);
}

/* A frame in the colour of its end, and within it the picture or a cross. */
static void draw(struct sheet *s, size_t i_image, enum mu_status status,
                 const uint8_t *thumbnail)
{
    static const uint8_t black[RGB] = {0};
    size_t left = i_image % COLUMNS * CELL;
    size_t top = i_image / COLUMNS * CELL;

    for (size_t y = 2; y < CELL - 2; y++)
        for (size_t x = 2; x < CELL - 2; x++)
            put(s, left + x, top + y, colours[status]);
    for (size_t y = 0; y < SIDE; y++)
        for (size_t x = 0; x < SIDE; x++) {
            const uint8_t *colour = black;

            if (thumbnail)
                colour = thumbnail + (y * SIDE + x) * RGB;
            else if (x - y + 3 < 7 || SIDE - 1 - x - y + 3 < 7)
                colour = colours[status];
            put(s, left + MARGIN + x, top + MARGIN + y, colour);
        }
}

static int give_image(void *ctx, struct mu_span *ret_input,
                      struct mu_submit *ret_how)
{
    struct sheet *s = ctx;

    (void)ret_input;
    if (s->i_next == s->n_images)
        return MU_EMPTY;
    ret_how->path = s->names[s->i_next];
    ret_how->tag = s->i_next++;
    return 0;
}

static int take_thumbnail(void *ctx, const struct mu_outcome *outcome)
{
    struct sheet *s = ctx;
    int is_done = outcome->status == MU_DONE;
    char how[300];

    s->ended[outcome->status]++;
    draw(s, outcome->tag, outcome->status, is_done ? outcome->output : NULL);
    if (outcome->status == MU_FAILED && outcome->output_size > 0) {
        (void)printf("%s: failed: %s\n", s->names[outcome->tag],
                     (const char *)outcome->output);
    } else if (!is_done) {
        (void)mu_outcome_describe(outcome, how, sizeof how);
        (void)printf("%s: %s\n", s->names[outcome->tag], how);
    }
    return 0;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int read_folder(struct sheet *s, const char *folder)
{
    DIR *dir = opendir(folder);
    struct dirent *entry;

    if (!dir)
        return -errno;
    while (s->n_images < IMAGES_MAX && (entry = readdir(dir))) {
        if (entry->d_name[0] == '.')
            continue;
        if (asprintf(&s->names[s->n_images], "%s/%s", folder, entry->d_name) <
            0)
            break;
        s->n_images++;
    }
    (void)closedir(dir);
    qsort(s->names, s->n_images, sizeof *s->names, compare_names);
    s->width = (size_t)COLUMNS * CELL;
    s->height = (s->n_images + COLUMNS - 1) / COLUMNS * CELL;
    s->pixels = calloc(s->width * s->height + 1, RGB);
    return s->pixels ? 0 : -ENOMEM;
}

static int make_sheet(const char *folder, const char *path, const char *model)
{
    static struct sheet sheet;
    struct mu_pool_options options = {0};
    struct mu_pool *pool = NULL;
    struct mu_error err = {.text = ""};
    int rc = read_folder(&sheet, folder);

    if (rc < 0) {
        (void)fprintf(stderr, "thumbnails: %s: %s\n", folder, strerror(-rc));
        return EXIT_FAILURE;
    }
    if (mu_model_isolates(model) == 1) /* else these cannot be had */
        options = (struct mu_pool_options){.timeout_ns = TIMEOUT_NS,
                                           .memory_bytes = MEMORY_BYTES};
    rc = mu_pool_open(model, &options, &pool, &err);
    if (rc == 0)
        rc = mu_map(pool, make_thumbnail, 0, give_image, take_thumbnail, &sheet,
                    &err);
    mu_pool_close(pool);
    if (rc != 0)
        (void)fprintf(stderr, "thumbnails: %s\n", err.text);
    else if (!stbi_write_png(path, (int)sheet.width, (int)sheet.height, RGB,
                             sheet.pixels, 0))
        rc = -EIO;
    for (int i = 0; i < MU_N_STATUS; i++)
        if (sheet.ended[i])
            (void)printf("%u %s  ", sheet.ended[i], mu_status_name(i));
    (void)printf("in %s\n", path);
    for (size_t i = 0; i < sheet.n_images; i++)
        free(sheet.names[i]);
    free(sheet.pixels);
    return rc == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    struct mu_error err;

    if (mu_init(&err) < 0) {
        (void)fprintf(stderr, "thumbnails: %s\n", err.text);
        return EXIT_FAILURE;
    }
    if (argc < 3) {
        (void)fprintf(stderr, "usage: thumbnails FOLDER SHEET.png [MODEL]\n");
        return EXIT_FAILURE;
    }
    return make_sheet(argv[1], argv[2], argc > 3 ? argv[3] : "processes");
}
