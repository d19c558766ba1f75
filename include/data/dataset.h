/* A data set in memory: images of one size with class numbers, immutable after opening. */
#ifndef DATA_DATASET_H
#define DATA_DATASET_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/sha256.h"

enum data_part { DATA_TRAIN, DATA_TEST };

struct dataset;

/* source: "cifar100:DIR" (official binary layout: train.bin, test.bin, fine_label_names.txt).
 * Errors name the file and the record. Free with dataset_free(). */
int dataset_open(const char *source, enum data_part part, struct dataset **ret_set, struct err *e);
void dataset_free(struct dataset *set);

size_t dataset_count(const struct dataset *set);
int dataset_width(const struct dataset *set);
int dataset_height(const struct dataset *set);
int dataset_classes(const struct dataset *set);
const char *dataset_label(const struct dataset *set, int class_index);
int32_t dataset_class(const struct dataset *set, size_t i);
const uint8_t *dataset_pixels(const struct dataset *set, size_t i); /* [height][width][3] RGB */

/* SHA-256 of everything in the set: sizes, names, class numbers and pixels. Reads all of it. */
void dataset_digest(const struct dataset *set, char ret_text[SHA256_HEX_SIZE]);

/* "cifar100": the source's kind, for the model's metadata. Channel mean and deviation, in 0..1,
 * that training on this set normalises with. */
const char *dataset_kind(const struct dataset *set);
void dataset_normalisation(const struct dataset *set, float ret_mean[3], float ret_std[3]);

#endif
