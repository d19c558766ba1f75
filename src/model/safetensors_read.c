/* The reader of safetensors files.
 *
 * A file is 8 bytes of length n (little endian), n bytes of JSON, and the tensors' bytes. The JSON
 * maps names to {"dtype", "shape", "data_offsets": [begin, end]} with offsets from the end of the
 * JSON, and
 * "__metadata__" to strings. Nothing in it is believed: after parsing, the tensors in the order of
 * their offsets cover the data exactly, without holes or overlap, and each is as long as its shape
 * and type say. Nothing is copied: names and strings stay in the JSON tree, elements in the
 * caller's bytes. What the values mean, and whether they are finite, is not known here. */
#include "config.h"

#include "model/safetensors.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "half.h"
#include "json/read.h"
#include "safetensors.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "safetensors files are little endian, and so must the processor be"
#endif

/* A tensor takes some ten values: this is room for 26,000 of them. */
enum { HEADER_VALUES_MAX = 1 << 18, LENGTH_BYTES = 8 };

static const char metadata_key[] = "__metadata__";

const char *const tensor_type_names[TENSOR_TYPES] = {"F32", "F16", "BF16", "I8", "F64",
                                                     "I64", "I32", "I16",  "U8", "BOOL"};

struct safetensors {
    size_t n_types; /* those that are taken: the first of the enum */
    struct json *root;
    const struct json *metadata;   /* borrowed from root; NULL when there is none */
    struct tensor *tensors;        /* [count], in the order of their data */
    const struct tensor **by_name; /* [count], sorted */
    size_t count;
};

size_t tensor_type_bytes(enum tensor_type type)
{
    static const unsigned char bytes[TENSOR_TYPES] = {4, 2, 2, 1, 8, 8, 4, 2, 1, 1};
    return bytes[type];
}

/* Shape and type of one tensor, and how many bytes they make. */
static int read_shape(const struct json_place *info, size_t n_types, struct tensor *tensor,
                      uint64_t *ret_bytes)
{
    struct json_place shape;
    int type;
    int rc = json_read_choice(info, "dtype", tensor_type_names, n_types, &type);
    if (rc == 0) rc = json_read_array(info, "shape", 0, SIZE_MAX, &shape);
    if (rc < 0) return rc;
    size_t n_dims = json_count(shape.value);
    if (n_dims > TENSOR_DIMS_MAX) {
        return json_read_fail(&shape, NULL, ERR_LIMIT, "%zu dimensions, at most %d", n_dims,
                              TENSOR_DIMS_MAX);
    }
    size_t count = 1, bytes;
    for (size_t i = 0; i < n_dims; i++) {
        const struct json_place dim = json_place_item(&shape, i);
        tensor->dims[i] = json_int(dim.value, -1);
        if (tensor->dims[i] < 0) {
            return json_read_fail(&dim, NULL, ERR_FORMAT, "must be an integer not below 0");
        }
        if (mem_size(count, (size_t)tensor->dims[i], 0, &count) < 0) {
            return json_read_fail(&shape, NULL, ERR_LIMIT, "the product does not fit");
        }
    }
    if (mem_size(count, tensor_type_bytes((enum tensor_type)type), 0, &bytes) < 0) {
        return json_read_fail(&shape, NULL, ERR_LIMIT, "the product does not fit");
    }
    tensor->type = (enum tensor_type)type;
    tensor->n_dims = (int)n_dims;
    tensor->count = count;
    *ret_bytes = bytes;
    return 0;
}

/* One entry of the header. data: the first byte behind the header, data_size bytes to the end. */
static int read_tensor(const struct json_place *root, const char *name, const unsigned char *data,
                       size_t data_size, size_t n_types, struct tensor *tensor)
{
    static const char *const known[] = {"dtype", "shape", "data_offsets"};
    struct json_place info, offsets;
    uint64_t bytes = 0;
    int rc = json_read_object(root, name, &info);
    if (rc == 0) rc = json_read_known(&info, known, sizeof(known) / sizeof(known[0]));
    if (rc == 0) rc = read_shape(&info, n_types, tensor, &bytes);
    if (rc == 0) rc = json_read_array(&info, "data_offsets", 2, 2, &offsets);
    if (rc < 0) return rc;

    const struct json *first = json_item(offsets.value, 0), *second = json_item(offsets.value, 1);
    if (!json_is(first, JSON_KIND_INT) || !json_is(second, JSON_KIND_INT)) {
        return json_read_fail(&offsets, NULL, ERR_FORMAT, "must be two integers");
    }
    const int64_t begin = json_int(first, 0), end = json_int(second, 0);
    if (begin < 0 || end < begin || (uint64_t)end > data_size) {
        return json_read_fail(&offsets, NULL, ERR_FORMAT,
                              "[%" PRId64 ", %" PRId64 "] does not lie in the %zu bytes of data; "
                              "the file is cut short or damaged",
                              begin, end, data_size);
    }
    if ((uint64_t)(end - begin) != bytes) {
        return json_read_fail(&offsets, NULL, ERR_FORMAT,
                              "%" PRId64 " bytes, but shape and dtype make %" PRIu64, end - begin,
                              bytes);
    }
    tensor->name = name;
    tensor->data = data + begin;
    return 0;
}

static int compare_places(const void *a, const void *b)
{
    const struct tensor *x = a, *y = b;
    if (x->data != y->data) return x->data < y->data ? -1 : 1;
    /* An empty tensor begins where the next one does, and goes first. */
    if (x->count != y->count) return x->count < y->count ? -1 : 1;
    return strcmp(x->name, y->name);
}

static int compare_names(const void *a, const void *b)
{
    const struct tensor *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

/* Sorts the tensors by place; they must follow each other from the first byte of data to the last.
 */
static int check_cover(const struct json_place *root, const unsigned char *data, size_t data_size,
                       struct safetensors *file)
{
    if (file->count > 0) {
        qsort(file->tensors, file->count, sizeof(*file->tensors), compare_places);
    }
    size_t at = 0;
    for (size_t i = 0; i < file->count; i++) {
        const struct tensor *t = &file->tensors[i];
        size_t begin = (size_t)(t->data - data);
        if (begin != at) {
            const struct json_place info = json_place_member(root, t->name);
            return json_read_fail(&info, "data_offsets", ERR_FORMAT,
                                  "begins at %zu, but the tensor before it ends at %zu (no %s is "
                                  "allowed)",
                                  begin, at, begin < at ? "overlap" : "hole");
        }
        at += t->count * tensor_type_bytes(t->type);
        file->by_name[i] = t;
    }
    if (at != data_size) {
        return json_read_fail(root, NULL, ERR_FORMAT,
                              "the tensors end at byte %zu of the data, the file at %zu", at,
                              data_size);
    }
    if (file->count > 0) {
        qsort(file->by_name, file->count, sizeof(*file->by_name), compare_names);
    }
    return 0;
}

static int read_metadata(const struct json_place *root, struct safetensors *file)
{
    struct json_place metadata;
    if (json_get(root->value, metadata_key) == NULL) return 0;
    int rc = json_read_object(root, metadata_key, &metadata);
    if (rc < 0) return rc;
    file->metadata = metadata.value;
    for (struct json_member m = {0}; json_next(metadata.value, &m);) {
        if (!json_is(m.value, JSON_KIND_STRING)) {
            return json_read_fail(&metadata, m.name, ERR_FORMAT, "must be a string");
        }
    }
    return 0;
}

static int read_header(const struct json_place *root, const unsigned char *data, size_t data_size,
                       struct safetensors *file)
{
    int rc = read_metadata(root, file);
    if (rc < 0) return rc;
    size_t n = json_count(root->value) - (file->metadata != NULL ? 1 : 0);
    file->tensors = mem_new(n, sizeof(*file->tensors));
    file->by_name = mem_new(n, sizeof(*file->by_name));
    if (file->tensors == NULL || file->by_name == NULL) {
        return json_read_fail(root, NULL, -ENOMEM, "no memory for %zu tensors", n);
    }
    for (struct json_member m = {0}; json_next(root->value, &m);) {
        if (m.value == file->metadata) continue;
        rc = read_tensor(root, m.name, data, data_size, file->n_types, &file->tensors[file->count]);
        if (rc < 0) return rc;
        file->count++;
    }
    return check_cover(root, data, data_size, file);
}

static int parse(const void *bytes, size_t size, size_t n_types, struct safetensors **ret_file,
                 struct err *e)
{
    static const struct json_limits limits = {SAFETENSORS_HEADER_MAX, HEADER_VALUES_MAX};
    static const char what[] = "safetensors header";
    struct err local = {0};
    const unsigned char *start = bytes;
    if (size < LENGTH_BYTES) {
        return err_set(
            e, ERR_FORMAT,
            "not a safetensors file: %zu bytes, but the length of its header alone takes %d", size,
            LENGTH_BYTES);
    }
    uint64_t length = 0;
    for (int i = LENGTH_BYTES - 1; i >= 0; i--) length = length << 8 | start[i];
    if (length > SAFETENSORS_HEADER_MAX) {
        return err_set(e, ERR_LIMIT,
                       "not a safetensors file: its first 8 bytes name a header of %" PRIu64
                       " bytes, at most %d are taken",
                       length, SAFETENSORS_HEADER_MAX);
    }
    if (length > size - LENGTH_BYTES) {
        return err_set(e, ERR_FORMAT,
                       "safetensors header: %" PRIu64
                       " bytes long, but the file ends after %zu; it is "
                       "cut short or no safetensors file",
                       length, size - LENGTH_BYTES);
    }
    const size_t data_at = LENGTH_BYTES + (size_t)length;
    struct safetensors *file = mem_new(1, sizeof(*file));
    if (file == NULL) return err_set(e, -ENOMEM, "no memory for a safetensors header");
    file->n_types = n_types;
    file->root = json_parse(what, (const char *)start + LENGTH_BYTES, (size_t)length, &limits,
                            JSON_KIND_OBJECT, &local);
    const struct json_place root = json_root(file->root, what, &local);
    if (file->root == NULL || read_header(&root, start + data_at, size - data_at, file) < 0) {
        safetensors_free(file);
        return err_set(e, local.code, "%s", local.text);
    }
    *ret_file = file;
    return 0;
}

int safetensors_parse(const void *bytes, size_t size, struct safetensors **ret_file, struct err *e)
{
    return parse(bytes, size, TENSOR_MODEL_TYPES, ret_file, e);
}

int safetensors_parse_checkpoint(const void *bytes, size_t size, struct safetensors **ret_file,
                                 struct err *e)
{
    return parse(bytes, size, TENSOR_TYPES, ret_file, e);
}

void safetensors_free(struct safetensors *file)
{
    if (file == NULL) return;
    json_free(file->root);
    mem_free(file->tensors);
    mem_free(file->by_name);
    mem_free(file);
}

size_t safetensors_count(const struct safetensors *file)
{
    return file->count;
}

const struct tensor *safetensors_at(const struct safetensors *file, size_t i)
{
    return i < file->count ? &file->tensors[i] : NULL;
}

const struct tensor *safetensors_find(const struct safetensors *file, const char *name)
{
    size_t low = 0, high = file->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(name, file->by_name[middle]->name);
        if (order == 0) return file->by_name[middle];
        if (order < 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return NULL;
}

const char *safetensors_meta(const struct safetensors *file, const char *key)
{
    return json_text(json_get(file->metadata, key));
}

bool tensor_is_float(const struct tensor *t)
{
    return t->type <= TENSOR_BF16 || t->type == TENSOR_F64;
}

void tensor_to_floats(const struct tensor *t, float *ret_values)
{
    if (t->type == TENSOR_F32) {
        if (t->count > 0) memcpy(ret_values, t->data, t->count * sizeof(*ret_values));
        return;
    }
    if (t->type == TENSOR_F64) {
        for (size_t i = 0; i < t->count; i++) {
            double value;
            memcpy(&value, t->data + i * sizeof(value), sizeof(value));
            ret_values[i] = (float)value;
        }
        return;
    }
    assert(t->type == TENSOR_F16 || t->type == TENSOR_BF16);
    for (size_t i = 0; i < t->count; i++) {
        uint16_t bits = (uint16_t)(t->data[2 * i] | t->data[2 * i + 1] << 8);
        ret_values[i] = t->type == TENSOR_F16 ? half_to_float(bits) : bfloat_to_float(bits);
    }
}
