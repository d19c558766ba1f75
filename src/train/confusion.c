/* Confusion matrices: one pass over the logits. */
#include "config.h"

#include "train/confusion.h"

#include <string.h>

void confusion_count(const struct logits *logits, int classifier, uint32_t *ret_counts)
{
    const size_t classes = (size_t)logits->classes;
    const float *z = logits_of(logits, classifier);
    memset(ret_counts, 0, classes * classes * sizeof(*ret_counts));
    for (size_t i = 0; i < logits->n; i++, z += classes) {
        size_t into = (size_t)logits_best(z, logits->classes, NULL);
        ret_counts[(size_t)logits->labels[i] * classes + into]++;
    }
}
