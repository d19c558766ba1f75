/* The answers of the last epoch, by the image's number in the data set; rows of images that are
 * held out stay unused. */
#include "config.h"

#include "progressive.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "nn/loss.h"

/* They are written with every checkpoint. */
#define BYTES_MAX ((size_t)4 << 30)

struct progressive {
    size_t classes, count; /* count: numbers in all */
    float *values;         /* [images][classes] */
    float *batch;          /* [micro-batch][classes] */
    struct ranks *ranks;
    uint32_t *kept;     /* [ranks][micro-batch], the images that are answered together */
    float *kept_logits; /* [ranks][micro-batch][classes] */
};

bool progressive_is_on(const struct recipe *recipe)
{
    return recipe->ps_kd > 0.0;
}

struct progressive *progressive_new(const struct dataset *set, const struct recipe *recipe,
                                    struct ranks *ranks, struct err *e)
{
    const size_t together = (size_t)recipe_micro_batch(recipe) * (size_t)ranks_count(ranks);
    const size_t images = dataset_count(set), classes = (size_t)dataset_classes(set);
    size_t bytes;
    if (mem_size(images, classes * sizeof(float), 0, &bytes) < 0 || bytes > BYTES_MAX) {
        err_set(e, ERR_LIMIT,
                "--ps-kd: %zu images of %zu classes: their answers take more than %zu bytes",
                images, classes, BYTES_MAX);
        return NULL;
    }
    struct progressive *p = mem_new(1, sizeof(*p));
    if (p != NULL) {
        *p = (struct progressive){.classes = classes, .count = images * classes, .ranks = ranks};
        p->values = mem_new(p->count, sizeof(*p->values));
        p->kept = mem_new(together, sizeof(*p->kept));
        p->kept_logits = mem_new(together, classes * sizeof(*p->kept_logits));
        p->batch = mem_new((size_t)recipe_micro_batch(recipe), classes * sizeof(*p->batch));
    }
    if (p == NULL || p->values == NULL || p->batch == NULL || p->kept == NULL ||
        p->kept_logits == NULL) {
        progressive_free(p);
        err_set(e, -ENOMEM, "out of memory for the answers to %zu images", images);
        return NULL;
    }
    memset(p->values, 0, bytes);
    for (size_t i = 0; i < images; i++)
        p->values[i * classes + (size_t)dataset_class(set, i)] = 1.0f;
    return p;
}

void progressive_free(struct progressive *progressive)
{
    if (progressive == NULL) return;
    mem_free(progressive->values);
    mem_free(progressive->batch);
    mem_free(progressive->kept);
    mem_free(progressive->kept_logits);
    mem_free(progressive);
}

size_t progressive_bytes(const struct progressive *progressive)
{
    return progressive->count * sizeof(*progressive->values);
}

double progressive_share(const struct recipe *recipe, int64_t epoch)
{
    return recipe->ps_kd * (double)epoch / (double)recipe->epochs;
}

const float *progressive_answers(struct progressive *p, const uint32_t *indices, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        memcpy(p->batch + i * p->classes, p->values + indices[i] * p->classes,
               p->classes * sizeof(*p->batch));
    }
    return p->batch;
}

void progressive_keep(struct progressive *p, const uint32_t *indices, size_t n, const float *logits)
{
    ranks_gather(p->ranks, indices, n * sizeof(*indices), p->kept);
    ranks_gather(p->ranks, logits, n * p->classes * sizeof(*logits), p->kept_logits);
    for (size_t i = 0; i < n * (size_t)ranks_count(p->ranks); i++) {
        loss_softmax((int)p->classes, p->kept_logits + i * p->classes, 1.0,
                     p->values + p->kept[i] * p->classes);
    }
}

float *progressive_values(struct progressive *progressive, size_t *ret_count)
{
    *ret_count = progressive->count;
    return progressive->values;
}
