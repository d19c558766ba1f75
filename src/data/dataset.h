/* What the readers of the data layer share: a data set from the inside. */
#ifndef SRC_DATA_DATASET_H
#define SRC_DATA_DATASET_H

#include "data/dataset.h"

/* One image as its file holds it. */
struct dataset_file {
    char *name;  /* the file's path, for messages */
    char *bytes; /* its content */
    size_t size;
    int width, height; /* upright */
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
};

/* Readers: fill an empty *set from a directory. On failure what was filled is released by the
 * caller (dataset_free()). */
int cifar10_read(const char *dir, enum data_part part, struct dataset *set, struct err *e);
int cifar100_read(const char *dir, enum data_part part, struct dataset *set, struct err *e);
int folder_read(const char *dir, enum data_part part, struct dataset *set, struct err *e);

#endif
