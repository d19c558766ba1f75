/* The operations of AutoAugment, each as PIL computes it (Image, ImageEnhance, ImageOps of Pillow
 * 9), since the policy was found and published with it. Rounding is PIL's: mostly cutting off.
 *
 * An operation of bytes alone is a table of 256 entries a channel; the four enhancements blend with
 * a degenerate image; geometry is augment_geometry.c. */
#include "config.h"

#include "augment.h"

#include <assert.h>
#include <math.h>
#include <stddef.h>
#include <string.h>

struct picture {
    uint8_t *pixels, *scratch;
    int width, height;
    size_t n; /* pixels */
    uint8_t outside;
};

/* --- geometry --------------------------------------------------------------------------------- */

static void affine(struct picture *p, const double a[6], bool bicubic)
{
    memcpy(p->scratch, p->pixels, p->n * 3);
    (bicubic ? augment_affine_bicubic : augment_affine_nearest)(a, p->scratch, p->width, p->height,
                                                                p->outside, p->pixels);
}

/* To 15 decimals, so that a right angle is one. */
static double rounded(double value)
{
    return round(value * 1e15) / 1e15;
}

/* Counter-clockwise around the middle. */
static void rotate(struct picture *p, double degrees)
{
    if (degrees == 0) return;
    double angle = -degrees * M_PI / 180, c = rounded(cos(angle)), s = rounded(sin(angle));
    double x = p->width / 2.0, y = p->height / 2.0;
    const double a[6] = {c, s, c * -x + s * -y + x, -s, c, -s * -x + c * -y + y};
    affine(p, a, false);
}

/* --- tables ----------------------------------------------------------------------------------- */

static void apply_tables(struct picture *p, uint8_t tables[3][256])
{
    for (size_t i = 0; i < p->n * 3; i++) p->pixels[i] = tables[i % 3][p->pixels[i]];
}

static void apply_table(struct picture *p, const uint8_t table[256])
{
    for (size_t i = 0; i < p->n * 3; i++) p->pixels[i] = table[p->pixels[i]];
}

static void posterize(struct picture *p, int bits)
{
    uint8_t table[256];
    for (int i = 0; i < 256; i++) table[i] = (uint8_t)(i & (0xff << (8 - bits)));
    apply_table(p, table);
}

static void solarize(struct picture *p, double threshold)
{
    uint8_t table[256];
    for (int i = 0; i < 256; i++) table[i] = (uint8_t)(i < threshold ? i : 255 - i);
    apply_table(p, table);
}

static void histogram(const struct picture *p, int channel, uint32_t counts[256])
{
    memset(counts, 0, 256 * sizeof(*counts));
    for (size_t i = 0; i < p->n; i++) counts[p->pixels[3 * i + (size_t)channel]]++;
}

static void autocontrast(struct picture *p)
{
    uint8_t tables[3][256];
    for (int c = 0; c < 3; c++) {
        uint32_t counts[256];
        int low = 0, high = 255;
        histogram(p, c, counts);
        while (low < 255 && counts[low] == 0) low++;
        while (high > 0 && counts[high] == 0) high--;
        double scale = high > low ? 255.0 / (high - low) : 1,
               offset = high > low ? -low * scale : 0;
        for (int i = 0; i < 256; i++) {
            double value = i * scale + offset;
            tables[c][i] = value < 0 ? 0 : value > 255 ? 255 : (uint8_t)value;
        }
    }
    apply_tables(p, tables);
}

static void equalize(struct picture *p)
{
    uint8_t tables[3][256];
    for (int c = 0; c < 3; c++) {
        uint32_t counts[256];
        int last = 255;
        histogram(p, c, counts);
        while (last > 0 && counts[last] == 0) last--;
        size_t step = (p->n - counts[last]) / 255, sum = step / 2;
        for (int i = 0; i < 256; i++) {
            size_t level = step > 0 ? sum / step : (size_t)i;
            tables[c][i] = level > 255 ? 255 : (uint8_t)level;
            sum += counts[i];
        }
    }
    apply_tables(p, tables);
}

/* --- enhancements ----------------------------------------------------------------------------- */

/* In float, as PIL has it: from + factor (to - from), cut off and clipped. */
static uint8_t blend(int from, int to, float factor)
{
    if (factor == 1.0f) return (uint8_t)to;
    float value = (float)from + factor * (float)(to - from);
    return value <= 0 ? 0 : value >= 255 ? 255 : (uint8_t)value;
}

static int luma(const uint8_t *pixel)
{
    return (pixel[0] * 19595 + pixel[1] * 38470 + pixel[2] * 7471 + 0x8000) >> 16;
}

static void color(struct picture *p, float factor)
{
    for (size_t i = 0; i < p->n; i++) {
        uint8_t *pixel = p->pixels + 3 * i;
        int grey = luma(pixel);
        for (int c = 0; c < 3; c++) pixel[c] = blend(grey, pixel[c], factor);
    }
}

static void blend_with(struct picture *p, int grey, float factor)
{
    uint8_t table[256];
    for (int i = 0; i < 256; i++) table[i] = blend(grey, i, factor);
    apply_table(p, table);
}

static void contrast(struct picture *p, float factor)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < p->n; i++) sum += (uint64_t)luma(p->pixels + 3 * i);
    blend_with(p, (int)((double)sum / (double)p->n + 0.5), factor);
}

/* The degenerate image is smoothed by 1 1 1, 1 5 1, 1 1 1 over 13, but for its border. */
static void sharpness(struct picture *p, float factor)
{
    const ptrdiff_t row = (ptrdiff_t)p->width * 3;
    memcpy(p->scratch, p->pixels, p->n * 3);
    for (int y = 1; y + 1 < p->height; y++) {
        for (ptrdiff_t x = 3; x < row - 3; x++) {
            const uint8_t *at = p->scratch + y * row + x;
            int sum = 4 * at[0];
            for (int k = -1; k <= 1; k++) sum += at[k * row - 3] + at[k * row] + at[k * row + 3];
            int smooth = (2 * sum + 13) / 26; /* rounded; thirteenths know no halves */
            p->pixels[y * row + x] = blend(smooth, at[0], factor);
        }
    }
}

void augment_perform(enum augment_op op, double value, struct augment_style style, uint8_t *image,
                     uint8_t *scratch, int width, int height)
{
    struct picture p = {image,        scratch, width, height, (size_t)width * (size_t)height,
                        style.outside};
    const float factor = (float)value;
    switch (op) {
    case AUGMENT_SHEAR_X:
        affine(&p, (const double[]){1, value, 0, 0, 1, 0}, style.bicubic);
        break;
    case AUGMENT_SHEAR_Y:
        affine(&p, (const double[]){1, 0, 0, value, 1, 0}, style.bicubic);
        break;
    case AUGMENT_TRANSLATE_X:
        affine(&p, (const double[]){1, 0, value, 0, 1, 0}, false);
        break;
    case AUGMENT_TRANSLATE_Y:
        affine(&p, (const double[]){1, 0, 0, 0, 1, value}, false);
        break;
    case AUGMENT_ROTATE:
        rotate(&p, value);
        break;
    case AUGMENT_COLOR:
        color(&p, factor);
        break;
    case AUGMENT_CONTRAST:
        contrast(&p, factor);
        break;
    case AUGMENT_BRIGHTNESS:
        blend_with(&p, 0, factor);
        break;
    case AUGMENT_SHARPNESS:
        sharpness(&p, factor);
        break;
    case AUGMENT_POSTERIZE:
        posterize(&p, (int)value);
        break;
    case AUGMENT_SOLARIZE:
        solarize(&p, value);
        break;
    case AUGMENT_AUTOCONTRAST:
        autocontrast(&p);
        break;
    case AUGMENT_EQUALIZE:
        equalize(&p);
        break;
    case AUGMENT_INVERT:
        solarize(&p, 0);
        break;
    case AUGMENT_IDENTITY:
        break;
    case AUGMENT_OPS:
        assert(false);
        break;
    }
}
