/* What a model has seen of a data set. */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "data/split.h"
#include "tool.h"

int tool_data(const struct dataset *set, const struct holdout_border *border, int64_t images,
              struct lineage_set *ret, struct err *e)
{
    const size_t n = (size_t)dataset_classes(set);
    const char **labels = mem_new(n, sizeof(*labels));
    if (labels == NULL) return err_set(e, -ENOMEM, "no memory for %zu classes", n);
    for (size_t i = 0; i < n; i++) labels[i] = dataset_label(set, (int)i);
    int rc = lineage_set_make(dataset_kind(set), labels, n, border, images, ret, e);
    mem_free((void *)labels);
    return rc;
}

bool tool_shares_data(const struct lineage_set *seen, const struct lineage_set *here,
                      const struct dataset *set)
{
    return lineage_set_is_alike(seen, here) || split_has_seen(set, &seen->border);
}

int tool_border_of(const struct lineage_set *seen, const struct dataset *set,
                   struct holdout_border *ret_border, struct err *e)
{
    const struct holdout_border *border = &seen->border;
    if (border->seed != dataset_key_seed(set)) {
        return err_set(e, ERR_CONFLICT, "its held-out images were chosen by the seed %llu",
                       (unsigned long long)border->seed);
    }
    if (border->known) return holdout_border_copy(border, ret_border, e);
    return split_border_of_count(set, (size_t)seen->images, ret_border, e);
}

int tool_border(const struct model *model, const struct dataset *set,
                struct holdout_border *ret_border, struct err *e)
{
    const struct holdout_border none = {.seed = dataset_key_seed(set)};
    struct lineage_set own = {.kind = ""}, here = {.kind = ""};
    int rc = model_data(model, &own, e);
    if (rc == 0) rc = tool_data(set, &none, 0, &here, e);
    if (rc == 0 && !tool_shares_data(&own, &here, set))
        rc = err_set(e, ERR_NOT_FOUND, "the model was trained on other data");
    if (rc == 0) rc = tool_border_of(&own, set, ret_border, e);
    lineage_set_release(&own);
    lineage_set_release(&here);
    return rc;
}

uint64_t tool_border_seed(const struct model *model)
{
    return model->training.border.seed;
}
