/* Checkpoints that others wrote: tensors under torchvision's names, or those of some collections of
 * CIFAR networks, into the parameters of a net. doc/interchange.md has the table of names. */
#ifndef MODEL_IMPORT_H
#define MODEL_IMPORT_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "image/preprocess.h"
#include "model/safetensors.h"
#include "nn/net.h"
#include "recipe/lineage.h"

struct import_report {
    size_t taken, ignored; /* tensors; ignored: PyTorch's counters of batches */
    unsigned fresh;        /* bit i: the checkpoint has no exit i, which has first values */
};

/* Fills the net's parameter block. Heads of shallow exits may be missing, each as a whole, and get
 * their first values from the seed; everything else must be there once, in the net's shapes, and be
 * finite; of a weight in I8 also its scales, as in a model. ERR_CONFLICT with the first names that
 * are missing, unexpected or of another shape; ERR_RANGE for a value; -ENOMEM. Any thread. */
int import_params(const struct safetensors *file, const struct net *net, uint64_t seed,
                  float *ret_params, struct import_report *ret_report, struct err *e);

/* What a file that was a model once says of itself. Labels: n of them in one block for mem_free(),
 * or NULL without any; preprocessing: 1 when there is one, else 0. ERR_FORMAT, ERR_CONFLICT. */
int import_labels(const struct safetensors *file, int n, char ***ret_labels, struct err *e);
int import_preprocess(const struct safetensors *file, struct preprocess *ret, struct err *e);

/* Which exits have not learned (struct training): the fresh ones, and those of which a file that
 * was a model says so. ERR_FORMAT. */
int import_untrained(const struct safetensors *file, int sections, unsigned fresh,
                     unsigned *ret_untrained, struct err *e);

/* What a file that was a model of n classes has seen, which the import has then, too; of another
 * one, that nothing is known (model/model.h). lineage_release(). ERR_FORMAT, ERR_CONFLICT, or as
 * lineage_add(). */
int import_lineage(const struct safetensors *file, int sections, int n, struct lineage *ret,
                   struct err *e);

#endif
