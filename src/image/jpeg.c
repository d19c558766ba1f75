/* The only file that sees libjpeg-turbo.
 *
 * Its errors come by longjmp() to decode_guarded(), which undoes everything through
 * jpeg_destroy_decompress(); nothing else is allocated but from the arena. It prints nothing: the
 * one warning that matters, pixel data that end before the pixels do, makes an image a truncated
 * one, and of the others there may be some. Rows are read a few at a time and go straight to where
 * they belong in the upright image, so that only JPEGs in several scans, whose coefficients have to
 * be kept until the last one, take memory by their full size.
 *
 * Scaling happens in the frequency domain (a block of 8x8 gives 4x4, 2x2 or 1 pixels), and always
 * with the accurate integer transforms, which give the same bytes on all processors. Smoothing
 * between blocks, a remedy for coefficients that are missing, is off. */
#include "config.h"

#include "jpeg.h"

#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdio.h>

#include <jpeglib.h>
#include <jerror.h>

#include "exif.h"
#include "header.h"

enum {
    ROWS_MAX = 4,       /* what the decoder gives at a time at most */
    WARNINGS_MAX = 100, /* of a decoder that goes on after each; more is not worth its time */
};

struct reader {
    struct jpeg_decompress_struct cinfo;
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    jmp_buf escape;

    const uint8_t *bytes;
    size_t size;
    const struct image_info *info;
    const struct image_decoding *decoding;
    struct arena *arena;
    struct image *ret_image;
    struct err *e;

    int rc;           /* set before escaping */
    int warnings;     /* so far */
    bool past_end;    /* the file ended without its end marker */
    int scan;         /* the last one that was counted */
    uint64_t samples; /* of all scans so far */
};

static struct reader *reader_of(j_common_ptr cinfo)
{
    return cinfo->client_data;
}

_Noreturn static void give_up(struct reader *r, int rc)
{
    r->rc = rc;
    longjmp(r->escape, 1);
}

static int code_of(int message)
{
    switch (message) {
    case JERR_OUT_OF_MEMORY:
        return -ENOMEM;
    case JERR_NO_BACKING_STORE: /* what it does past max_memory_to_use */
        return ERR_LIMIT;
    case JERR_SOF_UNSUPPORTED:
    case JERR_BAD_PRECISION:
    case JERR_CONVERSION_NOTIMPL:
    case JERR_FRACT_SAMPLE_NOTIMPL:
    case JERR_CCIR601_NOTIMPL:
        return ERR_UNSUPPORTED;
    default:
        return ERR_FORMAT;
    }
}

_Noreturn static void on_error(j_common_ptr cinfo)
{
    struct reader *r = reader_of(cinfo);
    char text[JMSG_LENGTH_MAX];
    const int rc = code_of(cinfo->err->msg_code);
    cinfo->err->format_message(cinfo, text);
    if (rc == -ENOMEM) {
        err_set(r->e, rc, "no memory to decode the image");
    } else if (rc == ERR_LIMIT) {
        err_set(r->e, rc, "decoding takes more memory than the size of the image allows for");
    } else if (rc == ERR_UNSUPPORTED) {
        err_set(r->e, rc, "this kind of JPEG is not supported: %s", text);
    } else {
        err_set(r->e, rc, "the JPEG is damaged: %s", text);
    }
    give_up(r, rc);
}

static void refuse_truncated(struct reader *r)
{
    if (r->decoding->limits->truncated == IMAGE_TRUNCATED_ACCEPT) return;
    give_up(r, err_set(r->e, ERR_FORMAT,
                       "the JPEG is cut short: its pixel data end before its pixels do"));
}

/* Level -1 are warnings, above are traces. */
static void on_message(j_common_ptr cinfo, int level)
{
    struct reader *r = reader_of(cinfo);
    if (level >= 0) return;
    if (cinfo->err->msg_code == JWRN_HIT_MARKER) {
        refuse_truncated(r);
    } else if (++r->warnings > WARNINGS_MAX) {
        char text[JMSG_LENGTH_MAX];
        cinfo->err->format_message(cinfo, text);
        give_up(r, err_set(r->e, ERR_FORMAT, "the JPEG is damaged in more than %d places: %s",
                           WARNINGS_MAX, text));
    }
}

static void on_output(j_common_ptr cinfo)
{
    (void)cinfo; /* nothing is printed */
}

/* At the end of the file an end marker is put in, as often as it is asked for. */
static boolean fill_input(j_decompress_ptr cinfo)
{
    static const JOCTET end[2] = {0xff, JPEG_EOI};
    reader_of((j_common_ptr)cinfo)->past_end = true;
    cinfo->src->next_input_byte = end;
    cinfo->src->bytes_in_buffer = sizeof(end);
    return TRUE;
}

/* Between rows of blocks: is there a new scan, and is all that still wanted? */
static void on_progress(j_common_ptr common)
{
    struct reader *r = reader_of(common);
    const struct image_decoding *decoding = r->decoding;
    const j_decompress_ptr cinfo = &r->cinfo;
    if (decoding->stop != NULL && decoding->stop(decoding->stop_arg)) {
        give_up(r, err_set(r->e, ERR_CANCELLED, "decoding was given up"));
    }
    if (!r->info->multiscan || cinfo->input_scan_number == r->scan) return;
    r->scan = cinfo->input_scan_number;
    r->samples += IMAGE_SCAN_SAMPLES;
    for (int i = 0; i < cinfo->comps_in_scan; i++) {
        const jpeg_component_info *c = cinfo->cur_comp_info[i];
        r->samples += (uint64_t)c->width_in_blocks * c->height_in_blocks * DCTSIZE2;
    }
    if (r->samples > decoding->limits->samples_max) {
        give_up(r, err_set(r->e, ERR_LIMIT,
                           "the JPEG has too many scans for its size: %d of them walk over more "
                           "than %llu samples",
                           r->scan, (unsigned long long)decoding->limits->samples_max));
    }
}

static void read_header(struct reader *r)
{
    const j_decompress_ptr cinfo = &r->cinfo;
    jpeg_create_decompress(cinfo);
    const size_t memory = jpeg_heap_bytes(r->info);
    cinfo->mem->max_memory_to_use = memory < LONG_MAX ? (long)memory : LONG_MAX;
    cinfo->progress = &r->progress;
    jpeg_mem_src(cinfo, r->bytes, r->size);
    cinfo->src->fill_input_buffer = fill_input;
    jpeg_read_header(cinfo, TRUE);
    if ((int)cinfo->image_width != r->info->width || (int)cinfo->image_height != r->info->height ||
        cinfo->num_components != r->info->channels) {
        give_up(r, err_set(r->e, ERR_FORMAT, "the JPEG is damaged: it says two different sizes"));
    }
}

/* Whether the coefficients of all scans are enough. T.81 lets a progressive JPEG end after any scan
 * (jpegtran's comments have it so, too), but each component must have had its first, and precision
 * that was begun is carried through; without an end marker, everything must be there. */
static bool is_complete(const struct reader *r)
{
    const struct jpeg_decompress_struct *cinfo = &r->cinfo;
    for (int i = 0; i < cinfo->num_components; i++) {
        if (cinfo->comp_info[i].quant_table == NULL) return false; /* was in no scan */
        if (!cinfo->progressive_mode) continue;
        if (cinfo->coef_bits[i][0] < 0) return false;
        for (int k = 0; k < DCTSIZE2; k++) {
            const int missing_bits = cinfo->coef_bits[i][k]; /* -1: all */
            if (missing_bits > 0 || (missing_bits < 0 && r->past_end)) return false;
        }
    }
    return true;
}

/* Adobe's CMYK, which everybody writes: 255 is no ink. */
static void cmyk_to_rgb(const JSAMPLE *cmyk, size_t n, uint8_t *ret_rgb)
{
    for (size_t i = 0; i < n; i++, cmyk += 4, ret_rgb += 3) {
        for (int c = 0; c < 3; c++) ret_rgb[c] = (uint8_t)((cmyk[c] * cmyk[3] + 127) / 255);
    }
}

/* All rows, a few at a time, into pixels. */
static void read_rows(struct reader *r, const struct exif_turn *turn, uint8_t *pixels)
{
    const j_decompress_ptr cinfo = &r->cinfo;
    const JDIMENSION width = cinfo->output_width;
    JSAMPROW rows[ROWS_MAX];
    const JDIMENSION samples = width * (JDIMENSION)cinfo->output_components;
    JSAMPLE *block =
        cinfo->mem->alloc_large((j_common_ptr)cinfo, JPOOL_IMAGE, (size_t)samples * ROWS_MAX);
    for (int i = 0; i < ROWS_MAX; i++) rows[i] = block + (size_t)i * samples;
    while (cinfo->output_scanline < cinfo->output_height) {
        const int y = (int)cinfo->output_scanline;
        const int n = (int)jpeg_read_scanlines(cinfo, rows, ROWS_MAX);
        if (cinfo->output_components == 4) cmyk_to_rgb(block, (size_t)width * (size_t)n, block);
        exif_place(turn, block, y, n, pixels);
    }
}

static void decode(struct reader *r)
{
    const j_decompress_ptr cinfo = &r->cinfo;
    const int shrink = image_shrink(r->info, r->decoding->want);
    read_header(r);
    cinfo->scale_num = 1;
    cinfo->scale_denom = (unsigned)shrink;
    cinfo->dct_method = JDCT_ISLOW;
    cinfo->do_block_smoothing = FALSE;
    cinfo->out_color_space = cinfo->num_components == 4 ? JCS_CMYK : JCS_RGB;
    jpeg_start_decompress(cinfo);
    if (r->info->multiscan && !is_complete(r)) refuse_truncated(r);

    const int width = (int)cinfo->output_width, height = (int)cinfo->output_height;
    const struct exif_turn turn = exif_turn(r->info->orientation, width, height);
    uint8_t *pixels = arena_alloc(r->arena, (size_t)width * (size_t)height, 3);
    if (pixels == NULL) {
        give_up(
            r, err_set(r->e, -ENOMEM, "no memory for the %dx%d pixels of an image", width, height));
    }
    read_rows(r, &turn, pixels);
    /* An arithmetic decoder goes on with zeros behind the end of its data and warns of nothing. */
    if (r->info->arithmetic && r->past_end) refuse_truncated(r);

    struct image image = image_of_pixels(turn.out_width, turn.out_height, pixels);
    const double shown_width = (double)r->info->width / shrink;
    const double shown_height = (double)r->info->height / shrink;
    const double left = turn.from_right ? width - shown_width : 0;
    const double top = turn.from_bottom ? height - shown_height : 0;
    image.shrink = shrink;
    image.full_width = turn.exchanged ? r->info->height : r->info->width;
    image.full_height = turn.exchanged ? r->info->width : r->info->height;
    image.shown = turn.exchanged ? (struct image_box){top, left, shown_height, shown_width}
                                 : (struct image_box){left, top, shown_width, shown_height};
    *r->ret_image = image;
}

/* The reader is the caller's, so that what changed before the jump is defined after it. */
static void decode_guarded(struct reader *r)
{
    if (setjmp(r->escape) == 0) decode(r);
    jpeg_destroy_decompress(&r->cinfo);
}

/* A block takes a bit at least. Looked at before memory is taken for what a header of a few bytes
 * promises. */
static int check_promise(const struct image_info *info, const struct image_limits *limits,
                         struct err *e)
{
    uint64_t blocks = 0;
    for (int i = 0; i < info->channels; i++) blocks += info->component_samples[i] / DCTSIZE2;
    if (info->arithmetic || limits->truncated == IMAGE_TRUNCATED_ACCEPT ||
        (uint64_t)info->bytes * 8 >= blocks) {
        return 0;
    }
    return err_set(e, ERR_FORMAT, "the JPEG is cut short: %zu bytes cannot hold %dx%d pixels",
                   info->bytes, info->width, info->height);
}

int jpeg_decode(const uint8_t *bytes, size_t size, const struct image_info *info,
                const struct image_decoding *decoding, struct arena *arena, struct image *ret_image,
                struct err *e)
{
    struct reader r = {
        .bytes = bytes,
        .size = size,
        .info = info,
        .decoding = decoding,
        .arena = arena,
        .ret_image = ret_image,
        .e = e,
    };
    int rc = check_promise(info, decoding->limits, e);
    if (rc < 0) return rc;
    r.cinfo.err = jpeg_std_error(&r.errors);
    r.cinfo.client_data = &r;
    r.errors.error_exit = on_error;
    r.errors.emit_message = on_message;
    r.errors.output_message = on_output;
    r.progress.progress_monitor = on_progress;
    decode_guarded(&r);
    return r.rc;
}
