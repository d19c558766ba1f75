/* Reads the files of tests/image/vectors, which make_vectors.py made. */
#ifndef TESTS_IMAGE_VECTORS_H
#define TESTS_IMAGE_VECTORS_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/mem.h"

/* A whole file, for mem_free(); the test fails when it is not there. */
static inline uint8_t *vector_read(const char *name, size_t *ret_size)
{
    const char *top = getenv("top_srcdir");
    char path[1024], *data = NULL;
    struct err e = {0};
    snprintf(path, sizeof(path), "%s/tests/image/vectors/%s", top != NULL ? top : ".", name);
    if (file_read(path, 1 << 24, &data, ret_size, &e) < 0) {
        fail_msg("%s", e.text);
        abort();
    }
    return (uint8_t *)data;
}

#endif
