/* The vectors that make_vectors.py wrote, and the net they belong to. */
#ifndef TESTS_NN_VECTORS_H
#define TESTS_NN_VECTORS_H

#include <stdint.h>

#include "nn/net.h"

struct record {
    char name[128];
    size_t count;
    float *values;
};

struct vectors {
    struct record *records;
    size_t n;
    struct spec spec;
    struct net *net;
    int batch;
    float *images; /* NHWC */
    int32_t *labels;
    float *params; /* the net's block */
};

/* The records of tests/FILE alone, without a net; fails the test when it cannot. */
struct vectors *vectors_read(const char *file);

/* Loads vectors/FILE and builds its net; fails the test when it cannot. */
struct vectors *vectors_load(const char *file);
void vectors_free(struct vectors *v);

/* A record by its name, or NULL. */
const struct record *vectors_find(const struct vectors *v, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Fails the test unless |values - wanted| <= tolerance * |wanted| in the L2 norm, or, where
 * |wanted| is under 1e-6, |values| is too. */
void vectors_compare(const struct record *wanted, const float *values, size_t count,
                     double tolerance);

#endif
