/* CSV files and NumPy's. */
#include "config.h"

#include "eval_files.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "npy.h"
#include "train/confusion.h"

static FILE *open_file(const char *option, const char *path, struct err *e)
{
    FILE *f = fopen(path, "we");
    if (f == NULL) err_set(e, -errno, "--%s %s: %s", option, path, err_text(-errno));
    return f;
}

static int close_file(FILE *f, const char *option, const char *path, struct err *e)
{
    bool failed = ferror(f) != 0;
    if (fclose(f) == 0 && !failed) return 0;
    return err_set(e, errno != 0 ? -errno : -EIO, "--%s %s: cannot write all of it", option, path);
}

int eval_write_predictions(const char *path, const struct logits *l, const uint32_t *indices,
                           struct err *e)
{
    FILE *f = open_file("predictions", path, e);
    if (f == NULL) return e->code;
    fprintf(f, "index,label");
    for (int c = 0; c <= l->n_exits; c++) {
        const char *name = model_classifier_name(c < l->n_exits ? c : MODEL_ENSEMBLE);
        fprintf(f, ",%s,%s_margin", name, name);
    }
    fprintf(f, "\n");
    for (size_t i = 0; i < l->n; i++) {
        fprintf(f, "%zu,%d", indices != NULL ? indices[i] : i, (int)l->labels[i]);
        for (int c = 0; c <= l->n_exits; c++) {
            if ((l->untrained >> c & 1) != 0) { /* the columns are the same for every method */
                fprintf(f, ",,");
                continue;
            }
            const float *z =
                logits_of(l, c < l->n_exits ? c : MODEL_ENSEMBLE) + i * (size_t)l->classes;
            float margin;
            int best = logits_best(z, l->classes, &margin);
            fprintf(f, ",%d,%.9g", best, (double)margin);
        }
        fprintf(f, "\n");
    }
    return close_file(f, "predictions", path, e);
}

static const char npy_end[] = ".npy";

int eval_check_logits_name(const char *path, struct err *e)
{
    size_t n = strlen(path), end = sizeof(npy_end) - 1;
    if (n > end && strcmp(path + n - end, npy_end) == 0 && n + sizeof(".labels") < PATH_MAX)
        return 0;
    return err_set(e, ERR_USAGE, "--logits %.200s: it takes a name that ends in .npy", path);
}

int eval_write_logits(const char *path, const struct logits *l, struct err *e)
{
    const size_t classifiers = (size_t)l->n_exits + 1, classes = (size_t)l->classes;
    const size_t dims[] = {l->n, classifiers, classes};
    char labels[PATH_MAX];
    float *values = mem_new(l->n * classifiers, classes * sizeof(*values));
    if (values == NULL) return err_set(e, -ENOMEM, "--logits: out of memory for %zu images", l->n);
    for (size_t c = 0; c < classifiers; c++) {
        const float *z = logits_of(l, c < classifiers - 1 ? (int)c : MODEL_ENSEMBLE);
        for (size_t i = 0; i < l->n; i++)
            memcpy(values + (i * classifiers + c) * classes, z + i * classes,
                   classes * sizeof(*values));
    }
    snprintf(labels, sizeof(labels), "%.*s.labels%s", (int)(strlen(path) - sizeof(npy_end) + 1),
             path, npy_end);
    int rc = npy_write_floats(path, values, dims, 3, e);
    if (rc == 0) rc = npy_write_ints(labels, l->labels, dims, 1, e);
    if (rc < 0) err_prefix(e, "--logits");
    mem_free(values);
    return rc;
}

/* In quotes, those within doubled (RFC 4180). */
static void print_quoted(FILE *f, const char *text)
{
    fputc('"', f);
    for (; *text != '\0'; text++) {
        if (*text == '"') fputc('"', f);
        fputc(*text, f);
    }
    fputc('"', f);
}

int eval_write_confusion(const char *path, const struct logits *l, int classifier,
                         char *const *labels, struct err *e)
{
    const size_t classes = (size_t)l->classes;
    uint32_t *counts = mem_new(classes * classes, sizeof(*counts));
    if (counts == NULL) {
        return err_set(e, -ENOMEM, "--confusion: out of memory for %d classes", l->classes);
    }
    confusion_count(l, classifier, counts);
    FILE *f = open_file("confusion", path, e);
    int rc = f != NULL ? 0 : e->code;
    if (rc == 0) {
        fprintf(f, "label");
        for (size_t k = 0; k < classes; k++) {
            fputc(',', f);
            print_quoted(f, labels[k]);
        }
        for (size_t k = 0; k < classes; k++) {
            fputc('\n', f);
            print_quoted(f, labels[k]);
            for (size_t j = 0; j < classes; j++)
                fprintf(f, ",%lu", (unsigned long)counts[k * classes + j]);
        }
        fputc('\n', f);
        rc = close_file(f, "confusion", path, e);
    }
    mem_free(counts);
    return rc;
}
