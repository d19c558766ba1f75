/* Numbers that PyTorch's side computes, too, and tensors that are too many to store:
 * make_vectors.py says how both are done. For tests. */
#ifndef TESTS_MODEL_NUMBERS_H
#define TESTS_MODEL_NUMBERS_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "nn/net.h"

enum { WHOLE = 24, SIGNS = 16 };

struct record {
    char name[128];
    size_t count;
    float *values;
};

static inline uint64_t fnv(const char *text)
{
    uint64_t h = 0xCBF29CE484222325u;
    for (; *text; text++) h = (h ^ (unsigned char)*text) * 0x100000001B3u;
    return h;
}

/* splitmix64: the i-th after `from`. */
static inline uint64_t hash_at(uint64_t from, size_t i)
{
    uint64_t z = from + (i + 1) * 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static inline float number(uint64_t from, size_t i, double offset, double scale)
{
    return (float)(offset + scale * ((double)(hash_at(from, i) >> 40) / (1 << 23) - 1));
}

static inline void fill_param(const struct param *p, int seed, float *values)
{
    char text[160];
    double offset = 0.0, scale = 0.5;
    snprintf(text, sizeof(text), "%d.%s", seed, p->name);
    switch (p->role) {
    case PARAM_CONV_WEIGHT:
    case PARAM_LINEAR_WEIGHT:
        scale = sqrt(2.0 / (double)(p->size / (size_t)p->dims[0]));
        break;
    case PARAM_NORM_SCALE:
        offset = strstr(p->name, "bn3.") != NULL ? 0.15 : 0.4;
        scale = strstr(p->name, "bn3.") != NULL ? 0.1 : 0.2;
        break;
    case PARAM_NORM_VARIANCE:
        offset = 1.25;
        scale = 0.75;
        break;
    case PARAM_CONV_BIAS:
    case PARAM_LINEAR_BIAS:
    case PARAM_NORM_SHIFT:
    case PARAM_NORM_MEAN:
        break;
    }
    for (size_t i = 0; i < p->size; i++) values[i] = number(fnv(text), i, offset, scale);
}

/* |values - wanted| and |wanted|, both in L2; of the first an estimate where only products with
 * random signs are stored. */
static inline void distance(const struct record *wanted, bool whole, const float *values,
                            size_t count, double *ret_difference, double *ret_norm)
{
    double difference = 0, norm = 0;
    if (whole || count <= WHOLE) {
        for (size_t i = 0; i < count; i++) {
            double w = (double)wanted->values[i], d = (double)values[i] - w;
            difference += d * d;
            norm += w * w;
        }
        *ret_difference = sqrt(difference);
        *ret_norm = sqrt(norm);
        return;
    }
    double products[SIGNS] = {0};
    uint64_t signs = fnv("signs");
    for (size_t i = 0; i < count; i++) {
        uint64_t bits = hash_at(signs, i);
        for (int j = 0; j < SIGNS; j++)
            products[j] += (bits >> j & 1) != 0 ? (double)values[i] : -(double)values[i];
    }
    for (int j = 0; j < SIGNS; j++) {
        double d = products[j] - (double)wanted->values[j + 1];
        difference += d * d / SIGNS;
    }
    *ret_difference = sqrt(difference);
    *ret_norm = (double)wanted->values[0];
}

/* The records of a file; fails the test when it cannot be read. */
static inline struct record *records_read(const char *path, size_t *ret_n)
{
    char name[128];
    size_t count, n = 0;
    struct record *records = NULL;
    FILE *f = fopen(path, "rb");
    if (f == NULL) fail_msg("%s: cannot be opened; set top_srcdir", path);
    while (fscanf(f, "%127s %zu", name, &count) == 2) {
        assert_int_equal(fgetc(f), '\n');
        records = mem_grow(records, n + 1, sizeof(*records));
        struct record *r = &records[n++];
        memcpy(r->name, name, sizeof(name));
        r->count = count;
        r->values = mem_new(count, sizeof(float));
        assert_int_equal(fread(r->values, sizeof(float), count, f), count);
    }
    assert_true(feof(f));
    fclose(f);
    *ret_n = n;
    return records;
}

static inline void records_free(struct record *records, size_t n)
{
    for (size_t i = 0; i < n; i++) mem_free(records[i].values);
    mem_free(records);
}

#endif
