/* Files that eval writes beside its figures. */
#ifndef TOOL_EVAL_FILES_H
#define TOOL_EVAL_FILES_H

#include <stdint.h>

#include "base/err.h"
#include "train/evaluate.h"

/* CSV: index,label, and of each classifier its class and its margin, which are empty where it has
 * not learned. indices: of the images in their file; NULL: 0.. */
int eval_write_predictions(const char *path, const struct logits *logits, const uint32_t *indices,
                           struct err *e);

/* FILE.npy: [images][classifiers][classes], the exits in their order and the ensemble, of which
 * those that have not learned are 0; FILE.labels.npy beside it: [images]. ERR_USAGE when the name
 * does not end in .npy. */
int eval_check_logits_name(const char *path, struct err *e);
int eval_write_logits(const char *path, const struct logits *logits, struct err *e);

/* CSV: a line for each label, a column for each class that images are put into. */
int eval_write_confusion(const char *path, const struct logits *logits, int classifier,
                         char *const *labels, struct err *e);

#endif
