/* A data set in memory: images with class numbers, immutable after opening. Those of CIFAR are
 * pixels of one size, those of a folder the content of their files, decoded whenever they are
 * wanted. */
#ifndef DATA_DATASET_H
#define DATA_DATASET_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/sha256.h"
#include "image/image.h"

enum data_part { DATA_TRAIN, DATA_TEST };

struct dataset;

/* What the files of a folder may take together, and at most half of the machine's memory. */
#define DATASET_BYTES_MAX ((uint64_t)16 << 30)

/* source: "cifar100:DIR" (official binary layout: train.bin, test.bin, fine_label_names.txt),
 * "cifar10:DIR" (data_batch_1.bin to _5, test_batch.bin, batches.meta.txt) or "folder:DIR"
 * (DIR/train/CLASS/IMAGE; DIR/val or DIR/test for the other part; doc/data.md has the rules). Every
 * image of a folder is decoded once, on all processors, so that a bad one is found here. Errors
 * name the file and the record; ERR_LIMIT past DATASET_BYTES_MAX. Free with dataset_free(). */
int dataset_open(const char *source, enum data_part part, struct dataset **ret_set, struct err *e);
void dataset_free(struct dataset *set);

size_t dataset_count(const struct dataset *set);
int dataset_width(const struct dataset *set); /* 0: each image has its own size */
int dataset_height(const struct dataset *set);
int dataset_classes(const struct dataset *set);
const char *dataset_label(const struct dataset *set, int class_index);
int32_t dataset_class(const struct dataset *set, size_t i);

/* Of a set of one size: [height][width][3] RGB. */
const uint8_t *dataset_pixels(const struct dataset *set, size_t i);

/* Image i of any set, upright; decoded no larger than it is wanted into the arena, of which it
 * takes at most dataset_image_bytes() (0 when nothing is decoded; then arena may be NULL). -ENOMEM.
 * Any thread. */
int dataset_image(const struct dataset *set, size_t i, struct image_want want, struct arena *arena,
                  struct image *ret_image, struct err *e);
size_t dataset_image_bytes(const struct dataset *set, size_t i);

/* The bytes that image i is known by, wherever it stands: its pixels, or its file's content. */
const void *dataset_content(const struct dataset *set, size_t i, size_t *ret_size);

/* The file of image i, or NULL when it has none of its own. */
const char *dataset_file(const struct dataset *set, size_t i);

/* SHA-256 of everything in the set: sizes, names of classes, class numbers and contents. Reads all
 * of it. */
void dataset_digest(const struct dataset *set, char ret_text[SHA256_HEX_SIZE]);

/* "cifar100": the source's kind, for the model's metadata. Channel mean and deviation, in 0..1,
 * that training on this set normalises with. */
const char *dataset_kind(const struct dataset *set);
void dataset_normalisation(const struct dataset *set, float ret_mean[3], float ret_std[3]);

#endif
