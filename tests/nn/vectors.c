/* Reads the files of make_vectors.py. A test's helper: whatever is wrong fails the test. */
#include "config.h"

#include "vectors.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "nets.h"

static void read_records(struct vectors *v, FILE *f)
{
    char name[128];
    size_t count;
    while (fscanf(f, "%127s %zu", name, &count) == 2) {
        assert_int_equal(fgetc(f), '\n');
        v->records = mem_grow(v->records, v->n + 1, sizeof(*v->records));
        assert_non_null(v->records);
        struct record *r = &v->records[v->n++];
        memcpy(r->name, name, sizeof(name));
        r->count = count;
        r->values = mem_new(count, sizeof(float));
        assert_non_null(r->values);
        assert_int_equal(fread(r->values, sizeof(float), count, f), count);
    }
    assert_true(feof(f));
}

const struct record *vectors_find(const struct vectors *v, const char *format, ...)
{
    char name[160];
    va_list args;
    va_start(args, format);
    vsnprintf(name, sizeof(name), format, args);
    va_end(args);
    for (size_t i = 0; i < v->n; i++) {
        if (strcmp(v->records[i].name, name) == 0) return &v->records[i];
    }
    return NULL;
}

static void fill_images(struct vectors *v)
{
    const struct record *r = vectors_find(v, "images");
    struct shape s = net_input(v->net);
    size_t pixels = (size_t)s.height * (size_t)s.width, channels = (size_t)s.channels;
    assert_int_equal(r->count, (size_t)v->batch * pixels * channels);
    v->images = mem_new(r->count, sizeof(float));
    assert_non_null(v->images);
    for (size_t i = 0; i < r->count; i++) {
        size_t pixel = i % pixels, channel = i / pixels % channels, image = i / pixels / channels;
        v->images[(image * pixels + pixel) * channels + channel] = r->values[i];
    }
}

static void fill_params(struct vectors *v)
{
    size_t n;
    const struct param *params = net_params(v->net, &n);
    v->params = mem_new(net_block_size(v->net), sizeof(float));
    assert_non_null(v->params);
    size_t found = 0;
    for (size_t i = 0; i < n; i++) {
        const struct record *r = vectors_find(v, "param.%s", params[i].name);
        if (r == NULL || r->count != params[i].size)
            fail_msg("%s: not in the vectors, or of another size", params[i].name);
        memcpy(v->params + params[i].offset, r->values, r->count * sizeof(float));
        found++;
    }
    size_t wanted = 0;
    for (size_t i = 0; i < v->n; i++) wanted += strncmp(v->records[i].name, "param.", 6) == 0;
    assert_int_equal(found, wanted);
}

struct vectors *vectors_read(const char *file)
{
    char path[4096];
    const char *top = getenv("top_srcdir");
    snprintf(path, sizeof(path), "%s/tests/%s", top != NULL ? top : ".", file);
    FILE *f = fopen(path, "rb");
    if (f == NULL) fail_msg("%s: cannot be opened; set top_srcdir", path);
    struct vectors *v = mem_new(1, sizeof(*v));
    assert_non_null(v);
    read_records(v, f);
    fclose(f);
    return v;
}

struct vectors *vectors_load(const char *file)
{
    char path[256];
    snprintf(path, sizeof(path), "nn/vectors/%s", file);
    struct vectors *v = vectors_read(path);

    const float *shape = vectors_find(v, "shape")->values;
    struct err e;
    v->spec = spec_resnet18();
    assert_int_equal(spec_scale(&v->spec, (int)shape[0], (int)shape[2], &e), 0);
    v->spec.heads.mid_channels = (int)shape[1];
    v->batch = (int)shape[3];
    v->spec.height = (int)shape[4];
    v->spec.width = (int)shape[5];
    v->net = net_new(&v->spec, &e);
    if (v->net == NULL) fail_msg("%s", e.text);
    fill_images(v);
    fill_params(v);
    v->labels = mem_new((size_t)v->batch, sizeof(*v->labels));
    assert_non_null(v->labels);
    for (int i = 0; i < v->batch; i++) v->labels[i] = (int32_t)vectors_find(v, "labels")->values[i];
    return v;
}

void vectors_free(struct vectors *v)
{
    for (size_t i = 0; i < v->n; i++) mem_free(v->records[i].values);
    mem_free(v->records);
    net_free(v->net);
    mem_free(v->images);
    mem_free(v->labels);
    mem_free(v->params);
    mem_free(v);
}

void vectors_compare(const struct record *wanted, const float *values, size_t count,
                     double tolerance)
{
    assert_non_null(wanted);
    assert_int_equal(wanted->count, count);
    double difference = 0, norm = 0, own = 0;
    for (size_t i = 0; i < count; i++) {
        double d = (double)values[i] - (double)wanted->values[i];
        difference += d * d;
        norm += (double)wanted->values[i] * (double)wanted->values[i];
        own += (double)values[i] * (double)values[i];
    }
    difference = sqrt(difference);
    norm = sqrt(norm);
    if (norm < 1e-6 ? !(sqrt(own) < 1e-6) : !(difference <= tolerance * norm))
        fail_msg("%s: off by %.3g in L2, of a norm of %.3g", wanted->name, difference, norm);
}
