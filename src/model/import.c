/* A stranger's checkpoint into the parameters of a net.
 *
 * Every tensor finds its parameter by name first, and everything that does not fit is told at once:
 * who imports a network under a wrong spec sees by a few names what is wrong with it. Only then are
 * values read. */
#include "config.h"

#include "model/import.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "import_names.h"
#include "history.h"
#include "metadata.h"
#include "model_file.h"

enum {
    SHOWN = 3,
    NAME_SHOWN_MAX = 64,
    COMPLAINT_MAX = 768, /* three of a name and two shapes */
    REMEDY_MAX = 96
};

struct found {
    const struct param *param;
    const struct tensor *tensor; /* NULL: none yet */
};

struct match {
    struct found *found; /* [n], by name */
    size_t n;
};

/* A list of the first names that are wrong in one way, as text. */
struct complaint {
    const char *what;
    size_t count;
    char names[COMPLAINT_MAX];
};

static void complain(struct complaint *c, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void complain(struct complaint *c, const char *format, ...)
{
    va_list args;
    size_t used = strlen(c->names);
    if (c->count++ >= SHOWN) return;
    if (used > 0) used += (size_t)snprintf(c->names + used, sizeof(c->names) - used, ", ");
    va_start(args, format);
    vsnprintf(c->names + used, sizeof(c->names) - used, format, args);
    va_end(args);
}

static const char *dims_text(int n_dims, const int64_t *dims, char text[NAME_SHOWN_MAX])
{
    size_t used = (size_t)snprintf(text, NAME_SHOWN_MAX, "[");
    for (int i = 0; i < n_dims && used < NAME_SHOWN_MAX - 24; i++) {
        used += (size_t)snprintf(text + used, NAME_SHOWN_MAX - used, "%s%" PRId64, i > 0 ? "," : "",
                                 dims[i]);
    }
    snprintf(text + used, NAME_SHOWN_MAX - used, "]");
    return text;
}

/* --- which tensor is which parameter ---------------------------------------------------------- */

static int compare_found(const void *a, const void *b)
{
    const struct found *x = a, *y = b;
    return strcmp(x->param->name, y->param->name);
}

static struct found *find(const struct match *m, const char *name)
{
    size_t low = 0, high = m->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(name, m->found[middle].param->name);
        if (order == 0) return &m->found[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

static struct found *find_any(const struct match *m, const char *name)
{
    char alias[IMPORT_NAME_MAX];
    struct found *f = find(m, name);
    return f == NULL && import_alias(name, alias) ? find(m, alias) : f;
}

static bool has_shape(const struct tensor *t, const struct param *p)
{
    bool same = t->n_dims == p->n_dims;
    for (int i = 0; same && i < t->n_dims; i++) same = t->dims[i] == p->dims[i];
    return same;
}

static void match_tensors(const struct safetensors *file, struct match *m,
                          struct complaint *unexpected, struct complaint *twice,
                          struct complaint *shapes, struct import_report *report)
{
    char shown[NAME_SHOWN_MAX], theirs[NAME_SHOWN_MAX], ours[NAME_SHOWN_MAX];
    for (size_t i = 0; i < safetensors_count(file); i++) {
        const struct tensor *t = safetensors_at(file, i);
        const char *name = import_strip(t->name);
        if (import_is_counter(name)) {
            report->ignored++;
            continue;
        }
        if (model_is_scale(file, t)) { /* read with what it is of */
            report->taken++;
            continue;
        }
        struct found *f = find_any(m, name);
        text_printable(shown, sizeof(shown), t->name);
        if (f == NULL) {
            complain(unexpected, "%s", shown);
        } else if (f->tensor != NULL) {
            complain(twice, "%s", shown);
        } else {
            f->tensor = t;
            report->taken++;
            if (!tensor_is_float(t) && t->type != TENSOR_I8)
                complain(shapes, "%s is of integers", shown);
            else if (!has_shape(t, f->param))
                complain(shapes, "%s is %s, not %s", shown, dims_text(t->n_dims, t->dims, theirs),
                         dims_text(f->param->n_dims, f->param->dims, ours));
        }
    }
}

/* Heads that are missing altogether are fresh; of all else nothing may be. */
static void find_missing(const struct match *m, int exits, struct complaint *missing,
                         unsigned *ret_fresh)
{
    char dims[NAME_SHOWN_MAX];
    unsigned there = 0;
    for (size_t i = 0; i < m->n; i++) {
        const struct found *f = &m->found[i];
        if (f->param->exit >= 0 && f->tensor != NULL) there |= 1u << f->param->exit;
    }
    *ret_fresh = ~there & ((1u << (exits - 1)) - 1); /* never the deepest */
    for (size_t i = 0; i < m->n; i++) {
        const struct param *p = m->found[i].param;
        if (m->found[i].tensor != NULL) continue;
        if (p->exit >= 0 && (*ret_fresh >> p->exit & 1) != 0) continue;
        complain(missing, "%s %s", p->name, dims_text(p->n_dims, p->dims, dims));
    }
}

/* Options that make the shapes right, as far as they alone are wrong: " (--classes 10 may be
 * right)", or "". Classes are the rows of the last linear layer; all other layers scale with the
 * width, the first that differs says by how much. */
static void say_remedy(const struct net *net, const struct match *m, char text[REMEDY_MAX])
{
    const int deepest = net_sections(net) - 1, own = net_spec(net)->stages[0].channels;
    int64_t classes = 0, width = 0;
    for (size_t i = 0; i < m->n; i++) {
        const struct param *p = m->found[i].param;
        const struct tensor *t = m->found[i].tensor;
        if (t == NULL || t->n_dims != p->n_dims || t->dims[0] == p->dims[0]) continue;
        bool last = p->exit == deepest && p->dims[0] == net_classes(net);
        if (last && (p->role == PARAM_LINEAR_WEIGHT || p->role == PARAM_LINEAR_BIAS)) {
            classes = t->dims[0];
        } else if (width == 0 && t->dims[0] <= SPEC_CHANNELS_MAX &&
                   t->dims[0] * own % p->dims[0] == 0) {
            width = t->dims[0] * own / p->dims[0];
        }
    }
    text[0] = '\0';
    if (classes <= 0 && width <= 0) return;
    size_t used = (size_t)snprintf(text, REMEDY_MAX, " (");
    if (classes > 0)
        used += (size_t)snprintf(text + used, REMEDY_MAX - used, "--classes %" PRId64 " ", classes);
    if (width > 0)
        used += (size_t)snprintf(text + used, REMEDY_MAX - used, "--width %" PRId64 " ", width);
    snprintf(text + used, REMEDY_MAX - used, "may be right)");
}

/* One sentence of all that is wrong. */
static int say_complaints(const struct net *net, const struct match *m,
                          const struct complaint *list, size_t n, struct err *e)
{
    char remedy[REMEDY_MAX];
    char text[4 * (COMPLAINT_MAX + 64)] = "";
    size_t used = 0;
    bool any = false;
    for (size_t i = 0; i < n; i++) {
        const struct complaint *c = &list[i];
        if (c->count == 0) continue;
        used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s %s", any ? "; " : "",
                                 c->what, c->names);
        any = true;
        if (c->count > SHOWN) {
            used += (size_t)snprintf(text + used, sizeof(text) - used, " and %zu more",
                                     c->count - SHOWN);
        }
    }
    if (!any) return 0;
    say_remedy(net, m, remedy);
    return err_set(e, ERR_CONFLICT, "it is not the network %s%s: %s", net_spec(net)->name, remedy,
                   text);
}

/* --- all of it -------------------------------------------------------------------------------- */

static int read_values(const struct safetensors *file, const struct match *m, float *params,
                       struct err *e)
{
    for (size_t i = 0; i < m->n; i++) {
        const struct found *f = &m->found[i];
        if (f->tensor == NULL) continue;
        int rc = model_read_values(file, f->tensor, f->param, params + f->param->offset, e);
        if (rc < 0) return rc;
    }
    return 0;
}

int import_params(const struct safetensors *file, const struct net *net, uint64_t seed,
                  float *ret_params, struct import_report *ret_report, struct err *e)
{
    struct complaint complaints[] = {
        {.what = "missing"}, {.what = "unexpected"}, {.what = "shapes:"}, {.what = "twice there:"}};
    struct import_report report = {0};
    struct match m;
    const struct param *params = net_params(net, &m.n);
    m.found = mem_new(m.n, sizeof(*m.found));
    if (m.found == NULL) return err_set(e, -ENOMEM, "no memory for %zu names", m.n);
    for (size_t i = 0; i < m.n; i++) m.found[i].param = &params[i];
    qsort(m.found, m.n, sizeof(*m.found), compare_found);

    match_tensors(file, &m, &complaints[1], &complaints[3], &complaints[2], &report);
    find_missing(&m, net_sections(net), &complaints[0], &report.fresh);
    int rc = say_complaints(net, &m, complaints, sizeof(complaints) / sizeof(complaints[0]), e);
    if (rc == 0) {
        net_init_params(net, seed, ret_params);
        rc = read_values(file, &m, ret_params, e);
    }
    mem_free(m.found);
    if (rc == 0) *ret_report = report;
    return rc;
}

int import_labels(const struct safetensors *file, int n, char ***ret_labels, struct err *e)
{
    const char *text = safetensors_meta(file, METADATA_LABELS);
    *ret_labels = NULL;
    return text != NULL ? metadata_parse_labels(text, n, ret_labels, e) : 0;
}

int import_preprocess(const struct safetensors *file, struct preprocess *ret, struct err *e)
{
    const char *text = safetensors_meta(file, METADATA_PREPROCESS);
    if (text == NULL) return 0;
    int rc = metadata_parse_preprocess(text, ret, e);
    return rc < 0 ? rc : 1;
}

int import_untrained(const struct safetensors *file, int sections, unsigned fresh,
                     unsigned *ret_untrained, struct err *e)
{
    const char *text = safetensors_meta(file, METADATA_TRAINING);
    struct training training = {.untrained = 0};
    int rc = text != NULL ? metadata_parse_training(text, sections, &training, e) : 0;
    if (rc == 0) *ret_untrained = fresh | training.untrained;
    return rc;
}

int import_lineage(const struct safetensors *file, int sections, int n, struct lineage *ret,
                   struct err *e)
{
    const char *text = safetensors_meta(file, METADATA_TRAINING);
    struct training training = {.untrained = 0};
    struct lineage none = {.has_unknown = true};
    char **labels = NULL;
    int rc = import_labels(file, n, &labels, e);
    if (rc < 0 || text == NULL || labels == NULL) {
        mem_free(labels);
        *ret = none;
        return rc;
    }
    rc = metadata_parse_training(text, sections, &training, e);
    if (rc == 0) rc = history_read(file, &training, e);
    if (rc == 0) rc = history_lineage(&training, labels, n, ret, e);
    history_release(&training);
    mem_free(labels);
    return rc;
}
