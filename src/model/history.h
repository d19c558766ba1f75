/* What a model has seen, from the metadata of its file: the border of its own data, and the
 * lineage. */
#ifndef SRC_MODEL_HISTORY_H
#define SRC_MODEL_HISTORY_H

#include "model/model.h"
#include "safetensors.h"

/* Fills in border and lineage of a training that is read but for these; history_release() is due
 * whatever is returned. Errors begin with the key. */
int history_read(const struct safetensors *file, struct training *training, struct err *e);
void history_release(struct training *training);

/* model_data() and model_lineage(), for n labels. */
int history_data(const struct training *training, char *const *labels, int n,
                 struct lineage_set *ret, struct err *e);
int history_lineage(const struct training *training, char *const *labels, int n,
                    struct lineage *ret, struct err *e);

#endif
