/* A data set: images with class numbers, immutable after opening. Those of CIFAR are pixels of one
 * size, in memory; those of a folder are files, read and decoded whenever they are wanted, unless
 * there is room to keep what training makes of them. */
#ifndef DATA_DATASET_H
#define DATA_DATASET_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/sha256.h"
#include "image/image.h"
#include "image/preprocess.h"

enum data_part { DATA_TRAIN, DATA_TEST };

struct dataset;

enum { DATASET_BROKEN_TOLD = 100 };

struct dataset_options {
    uint64_t key_seed; /* of dataset_key() */
    size_t broken_max; /* images of a folder that may be left out because they cannot be read */
    /* Told of each such image, in the order of the set, but of DATASET_BROKEN_TOLD at most, whether
     * they are too many or not, but not of a single one that the error names. NULL: nobody is. On
     * the thread that opens. */
    void (*broken)(void *arg, const char *text);
    void *broken_arg;
};

/* source: "cifar100:DIR" (official binary layout: train.bin, test.bin, fine_label_names.txt),
 * "cifar10:DIR" (data_batch_1.bin to _5, test_batch.bin, batches.meta.txt) or "folder:DIR"
 * (DIR/train/CLASS/IMAGE; DIR/val or DIR/test for the other part; doc/data.md has the rules). Every
 * image of a folder is read and decoded once, on all processors, so that bad ones are found here.
 * Errors name the file and the record. options: NULL for zeros. Free with dataset_free(). */
int dataset_open(const char *source, enum data_part part, const struct dataset_options *options,
                 struct dataset **ret_set, struct err *e);
void dataset_free(struct dataset *set);

size_t dataset_count(const struct dataset *set);
size_t dataset_skipped(const struct dataset *set); /* images that were left out */
int dataset_width(const struct dataset *set);      /* 0: each image has its own size */
int dataset_height(const struct dataset *set);
int dataset_classes(const struct dataset *set);
const char *dataset_label(const struct dataset *set, int class_index);
int32_t dataset_class(const struct dataset *set, size_t i);

/* Of a set of one size: [height][width][3] RGB. */
const uint8_t *dataset_pixels(const struct dataset *set, size_t i);

/* Image i of any set, upright; decoded no larger than it is wanted into the arena, of which it
 * takes at most dataset_image_bytes() (0 when nothing is decoded; then arena may be NULL). -ENOMEM;
 * of a file, what reading and decoding it gives, and ERR_CONFLICT when its content is not what it
 * was. Any thread. */
int dataset_image(const struct dataset *set, size_t i, struct image_want want, struct arena *arena,
                  struct image *ret_image, struct err *e);
size_t dataset_image_bytes(const struct dataset *set, size_t i);

/* What image i is known by, whatever it is called and wherever it stands: the first 8 bytes, big
 * endian, of SHA-256(key_seed as 8 bytes little endian, then its pixels or its file's content). */
uint64_t dataset_key(const struct dataset *set, size_t i);
uint64_t dataset_key_seed(const struct dataset *set);

/* Keys of another seed from now on; a folder's files are read again for it. Errors as
 * dataset_image()'s. Nobody else may use the set meanwhile. */
int dataset_use_seed(struct dataset *set, uint64_t seed, struct err *e);

/* Keeps images as p resizes them, [height][width][3], from when they are first wanted so, if all of
 * them fit into so many bytes; whether they do. Those that are cut out at random are not kept.
 * Once, before other threads use the set. Results are the same either way. -ENOMEM. */
int dataset_keep(struct dataset *set, const struct preprocess *p, uint64_t bytes_max,
                 struct err *e);

/* The file of image i, or NULL when it has none of its own. */
const char *dataset_file(const struct dataset *set, size_t i);

/* SHA-256 of everything in the set: sizes, names of classes, class numbers and contents. */
void dataset_digest(const struct dataset *set, char ret_text[SHA256_HEX_SIZE]);

/* "cifar100": the source's kind, for the model's metadata. Channel mean and deviation, in 0..1,
 * that training on this set normalises with. */
const char *dataset_kind(const struct dataset *set);
void dataset_normalisation(const struct dataset *set, float ret_mean[3], float ret_std[3]);

#endif
