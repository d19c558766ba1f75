/* What a model has seen. */
#include "config.h"

#include "history.h"

#include <string.h>

#include "metadata.h"

/* A program older than lineages says of a parent no more than which it was. */
int history_read(const struct safetensors *file, struct training *t, struct err *e)
{
    const char *text = safetensors_meta(file, METADATA_HOLDOUT);
    int rc = text != NULL ? holdout_border_parse(text, &t->border, e) : 0;
    if (rc < 0) return err_prefix(e, METADATA_HOLDOUT), rc;
    if (!t->border.known) t->border.seed = t->recipe.holdout.seed;
    text = safetensors_meta(file, METADATA_LINEAGE);
    if (text != NULL) rc = lineage_parse(text, &t->lineage, e);
    if (rc < 0) return err_prefix(e, METADATA_LINEAGE), rc;
    t->has_lineage = text != NULL;
    if (!t->has_lineage)
        t->lineage.has_unknown =
            t->data[0] == '\0' || t->parent[0] != '\0' || t->teacher[0] != '\0';
    return 0;
}

void history_release(struct training *t)
{
    holdout_border_release(&t->border);
    lineage_release(&t->lineage);
}

int history_data(const struct training *t, char *const *labels, int n, struct lineage_set *ret,
                 struct err *e)
{
    if (t->data[0] == '\0') return err_set(e, ERR_NOT_FOUND, "the model was not trained");
    return lineage_set_make(t->data, (const char *const *)labels, (size_t)n, &t->border,
                            t->recipe.holdout.images, ret, e);
}

int history_lineage(const struct training *t, char *const *labels, int n, struct lineage *ret,
                    struct err *e)
{
    struct lineage lineage = {.n = 0};
    struct lineage_set own;
    int rc = 0;
    if (t->data[0] != '\0') {
        rc = history_data(t, labels, n, &own, e);
        if (rc == 0) rc = lineage_add(&lineage, &own, e);
    }
    if (rc == 0) rc = lineage_add_all(&lineage, &t->lineage, e);
    if (rc == 0)
        *ret = lineage;
    else
        lineage_release(&lineage);
    return rc;
}

/* Whether what has seen one set may have seen what the other one holds out. */
static bool may_overlap(const struct lineage_set *seen, const struct lineage_set *here)
{
    if (!lineage_set_is_alike(seen, here) && !lineage_set_has_common(seen, here)) return false;
    return !holdout_border_is_within(&here->border, &seen->border);
}

int model_may_have_seen(const struct model *model, const struct model *holdout_of, bool *ret,
                        struct err *e)
{
    const struct training *t = &model->training;
    struct lineage lineage = {.n = 0};
    struct lineage_set here = {.kind = ""};
    bool is_known = t->has_lineage, seen = false;
    int rc = model_data(holdout_of, &here, e);
    if (rc == 0) rc = model_lineage(model, &lineage, e);
    for (size_t i = 0; rc == 0 && i < lineage.n; i++)
        seen = seen || may_overlap(&lineage.sets[i], &here);
    /* Who went on with these very data was told at that time what is not known. */
    is_known = is_known && strcmp(t->data, here.kind) == 0;
    if (rc == 0) *ret = seen || (lineage.has_unknown && !is_known);
    lineage_set_release(&here);
    lineage_release(&lineage);
    return rc;
}
