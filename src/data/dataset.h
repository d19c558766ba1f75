/* What the readers of the data layer share: a data set from the inside. */
#ifndef SRC_DATA_DATASET_H
#define SRC_DATA_DATASET_H

#include "data/dataset.h"

/* A file with an image, as it was when the set was opened. */
struct dataset_file {
    char *name; /* its path */
    size_t size;
    int64_t modified_ns;
    int width, height; /* upright */
    uint64_t key;
    uint8_t digest[SHA256_SIZE]; /* of the content */
};

struct dataset {
    const char *kind; /* static storage */
    size_t count;
    int width, height; /* 0: each image has its own size */
    int n_classes;
    uint8_t *pixels;            /* [count][height][width][3], or NULL: */
    struct dataset_file *files; /* [count] */
    int32_t *classes;           /* [count], each in [0, n_classes) */
    char **labels;              /* [n_classes], pointing into label_text */
    char *label_text;           /* one block */
    float mean[3], std[3];
    uint64_t key_seed;
    size_t skipped;          /* files that were left out */
    struct view_cache *kept; /* NULL: nothing is */
};

/* Readers: fill an empty *set from a directory. On failure what was filled is released by the
 * caller (dataset_free()). */
int cifar10_read(const char *dir, enum data_part part, const struct dataset_options *options,
                 struct dataset *set, struct err *e);
int cifar100_read(const char *dir, enum data_part part, const struct dataset_options *options,
                  struct dataset *set, struct err *e);
int folder_read(const char *dir, enum data_part part, const struct dataset_options *options,
                struct dataset *set, struct err *e);

/* Reads and decodes every file of the set once, on all processors, and notes what struct
 * dataset_file has. What cannot be read is taken out, up to options->broken_max files; the error
 * names the first of more (folder_check.c). */
int folder_check(struct dataset *set, const struct dataset_options *options, struct err *e);

/* The key of content, see dataset_key(). */
uint64_t dataset_content_key(const void *content, size_t size, uint64_t seed);

/* The content of a file of a set, for mem_free(); ERR_CONFLICT when it has changed. */
int dataset_file_read(const struct dataset_file *file, char **ret_bytes, size_t *ret_size,
                      struct err *e);
int dataset_file_changed(const struct dataset_file *file, struct err *e); /* says so */

#endif
