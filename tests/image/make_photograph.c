/* Writes a JPEG of any size to its output, the same for the same arguments:
 *
 *     make_photograph noise|smooth|natural WIDTH HEIGHT [QUALITY [SEED [WORD...]]] > FILE
 *
 * Noise is bytes by chance, the most that entropy decoding can be given; smooth are slow waves of
 * colour, the least that a photograph is; natural is what most of them are to a decoder: as much
 * contrast at every scale (Field, J. Opt. Soc. Am. A 4, 1987), detail in some places and not in
 * others, little of it in colour. Words: grey, cmyk, 444, 422, progressive, arithmetic,
 * restart (markers after every row). For the benches and tests that post photographs, which have
 * to be made where there is no encoder but the library's. */
#include "config.h"

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#include "base/rng.h"

enum {
    SIDE_MAX = 65500,
    CHANNELS_MAX = 4,
    NOISE_LEAST = 75, /* a picture of 4000x3000 takes 7.5 MB at quality 90 */
    NOISE_RANGE = 106,
    WAVE = 1 << 12,
    OCTAVES = 8, /* of natural: grids of 1, 2 .. 128 pixels, */
    FINE = 3,    /* the first of which are in places only */
};

enum kind { NOISE, SMOOTH, NATURAL };

/* Values by chance at the points of a grid: those of the two rows that the present one is between.
 */
struct grid {
    int8_t rows[2][SIDE_MAX + 2];
};

struct photograph {
    enum kind kind;
    int width, height, channels;
    struct rng rng;
    uint8_t wave[WAVE]; /* one of a sine */
    struct grid light[OCTAVES], warmth[OCTAVES], places;
};

static void noise_row(struct photograph *p, uint8_t *row, size_t bytes)
{
    uint32_t four = 0;
    for (size_t i = 0; i < bytes; i++, four >>= 8) {
        if (i % 4 == 0) four = rng_u32(&p->rng);
        row[i] = (uint8_t)(NOISE_LEAST + (four & 255) * NOISE_RANGE / 256);
    }
}

/* Some waves across the picture, of other lengths for each channel. */
static void smooth_row(struct photograph *p, uint8_t *row, int y)
{
    const unsigned height = (unsigned)p->height, width = (unsigned)p->width;
    for (unsigned x = 0; x < width; x++) {
        for (unsigned c = 0; c < (unsigned)p->channels; c++) {
            const unsigned a = x * WAVE / width * (1 + c) + (unsigned)y * WAVE / height;
            const unsigned b = x * WAVE / width - (unsigned)y * WAVE / height * (1 + c);
            *row++ = (uint8_t)((p->wave[a % WAVE] + p->wave[b % WAVE]) / 2);
        }
    }
}

static void draw_points(struct photograph *p, int8_t *points, int octave)
{
    for (int i = 0; i <= (p->width >> octave) + 1; i++)
        points[i] = (int8_t)((int)rng_below(&p->rng, 255) - 127);
}

static void grid_next(struct photograph *p, struct grid *g, int octave, int y)
{
    if (y % (1 << octave) != 0) return;
    if (y == 0) draw_points(p, g->rows[1], octave);
    memcpy(g->rows[0], g->rows[1], sizeof(g->rows[0]));
    draw_points(p, g->rows[1], octave);
}

/* -1 to 1. */
static float grid_at(const struct grid *g, int octave, int x, int y)
{
    const int i = x >> octave, size = 1 << octave;
    const float right = (float)(x % size) / (float)size, down = (float)(y % size) / (float)size;
    const float up = (float)g->rows[0][i] * (1 - right) + (float)g->rows[0][i + 1] * right;
    const float low = (float)g->rows[1][i] * (1 - right) + (float)g->rows[1][i + 1] * right;
    return (up * (1 - down) + low * down) / 127;
}

static uint8_t clamp(float value)
{
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

static void natural_row(struct photograph *p, uint8_t *row, int y)
{
    static const float light[OCTAVES] = {10, 28, 36, 36, 36, 36, 36, 36};
    const int places = OCTAVES - 2;
    for (int k = 0; k < OCTAVES; k++) {
        grid_next(p, &p->light[k], k, y);
        grid_next(p, &p->warmth[k], k, y);
    }
    grid_next(p, &p->places, places, y);
    for (int x = 0; x < p->width; x++) {
        const float detail = grid_at(&p->places, places, x, y);
        float bright = 120, warm = 0;
        for (int k = 0; k < OCTAVES; k++) {
            const float part = k >= FINE ? 1 : detail > 0 ? 0.35F + detail : 0.35F;
            bright += light[k] * part * grid_at(&p->light[k], k, x, y);
            if (k > FINE) warm += 12 * grid_at(&p->warmth[k], k, x, y);
        }
        for (int c = 0; c < p->channels; c++) *row++ = clamp(bright + (float)(1 - c) * warm);
    }
}

static int set_word(struct jpeg_compress_struct *cinfo, const char *word)
{
    if (strcmp(word, "444") == 0) {
        cinfo->comp_info[0].h_samp_factor = cinfo->comp_info[0].v_samp_factor = 1;
    } else if (strcmp(word, "422") == 0) {
        cinfo->comp_info[0].v_samp_factor = 1;
    } else if (strcmp(word, "progressive") == 0) {
        jpeg_simple_progression(cinfo);
    } else if (strcmp(word, "arithmetic") == 0) {
        cinfo->arith_code = TRUE;
    } else if (strcmp(word, "restart") == 0) {
        cinfo->restart_in_rows = 1;
    } else {
        return strcmp(word, "grey") == 0 || strcmp(word, "cmyk") == 0 ? 0 : -1;
    }
    return 0;
}

static bool has_word(int argc, char **argv, const char *word)
{
    for (int i = 6; i < argc; i++) {
        if (strcmp(argv[i], word) == 0) return true;
    }
    return false;
}

static int write_jpeg(struct photograph *p, int quality, int argc, char **argv)
{
    static uint8_t row[SIDE_MAX * CHANNELS_MAX];
    JSAMPROW rows[1] = {row};
    struct jpeg_error_mgr errors; /* the library's own: says what is wrong and exits */
    struct jpeg_compress_struct cinfo = {.err = jpeg_std_error(&errors)};
    jpeg_create_compress(&cinfo);
    jpeg_stdio_dest(&cinfo, stdout);
    cinfo.image_width = (JDIMENSION)p->width;
    cinfo.image_height = (JDIMENSION)p->height;
    cinfo.input_components = p->channels;
    cinfo.in_color_space = p->channels == 1 ? JCS_GRAYSCALE : p->channels == 4 ? JCS_CMYK : JCS_RGB;
    jpeg_set_defaults(&cinfo);
    jpeg_set_quality(&cinfo, quality, TRUE);
    for (int i = 6; i < argc; i++) {
        if (set_word(&cinfo, argv[i]) < 0) return -1;
    }
    jpeg_start_compress(&cinfo, TRUE);
    for (int y = 0; y < p->height; y++) {
        if (p->kind == NOISE)
            noise_row(p, row, (size_t)p->width * (size_t)p->channels);
        else if (p->kind == SMOOTH)
            smooth_row(p, row, y);
        else
            natural_row(p, row, y);
        jpeg_write_scanlines(&cinfo, rows, 1);
    }
    jpeg_finish_compress(&cinfo);
    jpeg_destroy_compress(&cinfo);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc < 4) return 2;
    static const char *const kinds[] = {"noise", "smooth", "natural"};
    static struct photograph p;
    while (strcmp(argv[1], kinds[p.kind]) != 0) {
        if (++p.kind > NATURAL) return 2;
    }
    p.width = atoi(argv[2]);
    p.height = atoi(argv[3]);
    p.channels = has_word(argc, argv, "grey") ? 1 : has_word(argc, argv, "cmyk") ? 4 : 3;
    const int quality = argc > 4 ? atoi(argv[4]) : 90;
    if (p.width < 1 || p.height < 1 || p.width > SIDE_MAX || p.height > SIDE_MAX) return 2;
    rng_init(&p.rng, argc > 5 ? strtoull(argv[5], NULL, 10) : 0, RNG_TEST, 0, 0);
    for (int i = 0; i < WAVE; i++) {
        p.wave[i] = (uint8_t)(127.5 + 127 * sin(2 * 3.14159265358979 * i / WAVE));
    }
    if (write_jpeg(&p, quality, argc, argv) < 0) return 2;
    return fflush(stdout) == 0 ? 0 : 1;
}
