/* A made-up CIFAR-100 of a few images in a temporary directory. */
#ifndef TESTS_DATA_FAKE_CIFAR_H
#define TESTS_DATA_FAKE_CIFAR_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/rng.h"

enum { FAKE_RECORD = 3074 };

/* Where the files lie; fake_source is what dataset_open() takes. */
static char fake_directory[64];
static char fake_source[80];

static inline void fake_write(const char *name, const void *data, size_t size)
{
    char path[128];
    struct err e = {0};
    struct file_piece piece = {data, size};
    snprintf(path, sizeof(path), "%s/%s", fake_directory, name);
    if (file_write_atomic(path, &piece, 1, &e) < 0) {
        fprintf(stderr, "%s\n", e.text);
        abort();
    }
}

/* n names, a line each, behind `begin`. */
static inline void fake_write_names(int n, const char *line_end, const char *begin)
{
    char text[4096];
    size_t used = (size_t)snprintf(text, sizeof(text), "%s", begin);
    for (int i = 0; i < n; i++) {
        used += (size_t)snprintf(text + used, sizeof(text) - used, "class_%d%s", i, line_end);
    }
    fake_write("fine_label_names.txt", text, used);
}

/* Record i of a stream: labels and noise that only depend on i. */
static inline void fake_record(uint32_t i, uint8_t record[FAKE_RECORD])
{
    struct rng rng;
    rng_init(&rng, 77, RNG_TEST, i, 0);
    for (int k = 2; k < FAKE_RECORD; k++) record[k] = (uint8_t)rng_below(&rng, 256);
    record[0] = (uint8_t)(i % 20);
    record[1] = (uint8_t)(i * 7 % 100);
}

/* A file of the records named, in this order. */
static inline void fake_write_records(const char *name, const uint32_t *which, size_t n)
{
    uint8_t *data = malloc(n * FAKE_RECORD + 1);
    if (data == NULL) abort();
    for (size_t i = 0; i < n; i++) fake_record(which[i], data + i * FAKE_RECORD);
    fake_write(name, data, n * FAKE_RECORD);
    free(data);
}

static inline int fake_begin(void **state)
{
    (void)state;
    strcpy(fake_directory, "/tmp/ad-cifar-XXXXXX");
    if (mkdtemp(fake_directory) == NULL) return -1;
    snprintf(fake_source, sizeof(fake_source), "cifar100:%s", fake_directory);
    fake_write_names(100, "\n", "");
    return 0;
}

static inline int fake_end(void **state)
{
    (void)state;
    return file_remove_tree(fake_directory, NULL);
}

#endif
