/* The writer of safetensors files: tensors in the order given, one behind the other, so that there
 * is no hole. The header is padded with blanks to a multiple of 8 bytes, which aligns F32 data.
 * Nothing of the time or the machine goes in: the same input gives the same bytes. */
#include "config.h"

#include "model/safetensors.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "half.h"
#include "json/write.h"
#include "safetensors.h"

/* What is written, put together before the file is touched. */
struct image_of_file {
    struct buf header;
    unsigned char length[8];
    struct file_piece *pieces; /* length, header, then the tensors */
    uint16_t *halves;          /* converted elements of all tensors of 16 bits; NULL without any */
};

static bool is_half(enum tensor_type type)
{
    assert(type <= TENSOR_I8);
    return type == TENSOR_F16 || type == TENSOR_BF16;
}

static int count_elements(const struct tensor_out *t, size_t *ret_count)
{
    size_t count = 1;
    for (int i = 0; i < t->n_dims; i++) {
        if (t->dims[i] < 0 || mem_size(count, (size_t)t->dims[i], 0, &count) < 0) return -EOVERFLOW;
    }
    *ret_count = count;
    return 0;
}

static void put_metadata(struct json_writer *w, const struct meta_out *meta, size_t n_meta)
{
    json_write_open(w, "__metadata__", '{');
    for (size_t i = 0; i < n_meta; i++) json_write_string(w, meta[i].key, meta[i].value);
    json_write_close(w, '}');
}

static void put_tensor(struct json_writer *w, const struct tensor_out *t, size_t begin, size_t end)
{
    json_write_open(w, t->name, '{');
    json_write_string(w, "dtype", tensor_type_names[t->type]);
    json_write_open(w, "shape", '[');
    for (int i = 0; i < t->n_dims; i++) json_write_int(w, NULL, t->dims[i]);
    json_write_close(w, ']');
    json_write_open(w, "data_offsets", '[');
    json_write_int(w, NULL, (int64_t)begin);
    json_write_int(w, NULL, (int64_t)end);
    json_write_close(w, ']');
    json_write_close(w, '}');
}

/* count values as 16-bit ones; a finite value that would become infinite is refused. */
static int convert(const struct tensor_out *t, size_t count, uint16_t *ret, struct err *e)
{
    const float *values = t->values;
    for (size_t i = 0; i < count; i++) {
        const float value = values[i];
        ret[i] = t->type == TENSOR_F16 ? half_from_float(value) : bfloat_from_float(value);
        float stored = t->type == TENSOR_F16 ? half_to_float(ret[i]) : bfloat_to_float(ret[i]);
        if (isfinite(value) && !isfinite(stored)) {
            return err_set(e, ERR_RANGE,
                           "tensor %s, element %zu: %g does not fit into %s; write F32", t->name, i,
                           (double)value, tensor_type_names[t->type]);
        }
    }
    return 0;
}

/* Sizes and header; halves are allocated here and filled later. */
static int lay_out(struct image_of_file *image, const struct tensor_out *tensors, size_t n_tensors,
                   const struct meta_out *meta, size_t n_meta, struct err *e)
{
    struct buf *header = &image->header;
    struct json_writer w;
    size_t at = 0, half_bytes = 0;
    json_writer_init(&w, header);
    json_write_open(&w, NULL, '{');
    if (n_meta > 0) put_metadata(&w, meta, n_meta);
    for (size_t i = 0; i < n_tensors; i++) {
        const size_t width = tensor_type_bytes(tensors[i].type);
        size_t count, end;
        if (count_elements(&tensors[i], &count) < 0 || mem_size(count, width, at, &end) < 0 ||
            end > INT64_MAX) {
            return err_set(e, ERR_LIMIT, "tensor %s: its size does not fit", tensors[i].name);
        }
        put_tensor(&w, &tensors[i], at, end);
        image->pieces[2 + i].size = end - at;
        if (is_half(tensors[i].type)) half_bytes += end - at;
        at = end;
    }
    json_write_close(&w, '}');
    int rc = w.status;
    while (rc == 0 && header->size % 8 != 0) rc = buf_puts(header, " ");
    if (rc == 0 && w.replaced) {
        return err_set(e, ERR_FORMAT, "a name or a string of the metadata is not UTF-8");
    }
    if (rc < 0) return err_set(e, rc, "the header of a safetensors file: %s", err_text(rc));
    for (int i = 0; i < 8; i++)
        image->length[i] = (unsigned char)((uint64_t)header->size >> (8 * i));
    image->pieces[0] = (struct file_piece){image->length, sizeof(image->length)};
    image->pieces[1] = (struct file_piece){header->data, header->size};
    if (half_bytes == 0) return 0;
    image->halves = mem_new_aligned(half_bytes, 1);
    return image->halves != NULL
               ? 0
               : err_set(e, -ENOMEM, "no memory for %zu bytes of tensors", half_bytes);
}

int safetensors_write(const char *path, const struct tensor_out *tensors, size_t n_tensors,
                      const struct meta_out *meta, size_t n_meta, struct err *e)
{
    struct image_of_file image = {.pieces = NULL, .halves = NULL};
    size_t n_pieces;
    int rc = -ENOMEM;
    buf_init(&image.header, SAFETENSORS_HEADER_MAX);
    if (mem_size(n_tensors, 1, 2, &n_pieces) == 0)
        image.pieces = mem_new(n_pieces, sizeof(*image.pieces));
    if (image.pieces == NULL) {
        err_set(e, rc, "no memory for %zu tensors", n_tensors);
    } else {
        rc = lay_out(&image, tensors, n_tensors, meta, n_meta, e);
    }
    uint16_t *halves = image.halves;
    for (size_t i = 0; i < n_tensors && rc == 0; i++) {
        struct file_piece *piece = &image.pieces[2 + i];
        piece->data = tensors[i].values;
        if (!is_half(tensors[i].type)) continue;
        size_t count = piece->size / sizeof(*halves);
        rc = convert(&tensors[i], count, halves, e);
        piece->data = halves;
        halves += count;
    }
    if (rc < 0) {
        err_prefix(e, "cannot write %s", path);
    } else {
        rc = file_write_atomic(path, image.pieces, n_pieces, e); /* names the path itself */
    }
    buf_release(&image.header);
    mem_free(image.pieces);
    mem_free(image.halves);
    return rc;
}
