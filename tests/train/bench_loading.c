/* Speed of loading beside computing:
 *
 *     bench_loading SPEC.json WIDTH METHOD FOLDER AUGMENT BATCH THREADS LOADERS ROUNDS SECONDS
 *
 * of the folder FOLDER/train/CLASS/IMAGE. In turn, ROUNDS times, each for SECONDS: batches are
 * loaded and nothing computes; a training steps whose images are in memory, decoded; one steps
 * whose images are not. Prints images a second, a line of JSON a round. LOADERS 0: one a processor.
 * Not a test; bench/loading runs it. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/cpu.h"
#include "data/loader.h"
#include "model/spec_file.h"
#include "train/trainer.h"

enum { EPOCHS = 1 << 20, MEASURE_S = 10 };

struct bench {
    struct recipe recipe;
    struct preprocess preprocess;
    struct net *net;
    struct pool *pool;
    struct choices *choices;
    struct dataset *streamed, *kept;
    struct split split; /* of both */
    unsigned loaders;
    double seconds; /* of a round */
};

/* Does one more step. */
typedef int step_fn(void *what, int64_t step, struct err *e);

static int load(void *loader, int64_t step, struct err *e)
{
    struct loader_batch batch;
    return loader_take(loader, step, &batch, e);
}

static int learn(void *trainer, int64_t step, struct err *e)
{
    struct train_report report;
    (void)step;
    return trainer_step(trainer, &report, e);
}

/* Images a second from where the work stands, once its queues are as full as they get. */
static int measure(const struct bench *b, step_fn *fn, void *what, int64_t *step, double *ret,
                   struct err *e)
{
    int rc = 0;
    for (int i = 0; i < 2 * LOADER_BATCHES && rc == 0; i++) rc = fn(what, (*step)++, e);
    const int64_t start = clock_now(), first = *step;
    double s = 0;
    while (rc == 0 && s < b->seconds) {
        rc = fn(what, (*step)++, e);
        s = (double)(clock_now() - start) / CLOCK_SECOND;
    }
    *ret = (double)(*step - first) * (double)b->recipe.batch / s;
    return rc;
}

static struct loader *make_loader(const struct bench *b, const struct dataset *set, struct err *e)
{
    const struct loader_setup setup = {.set = set,
                                       .images = b->split.train,
                                       .n_images = b->split.n_train,
                                       .preprocess = &b->preprocess,
                                       .augment = &b->recipe.augment,
                                       .seed = 1,
                                       .batch = (size_t)b->recipe.batch,
                                       .steps = INT64_MAX,
                                       .threads = b->loaders};
    return loader_new(&setup, e);
}

/* So that all of them are in memory. */
static int fill(const struct bench *b, struct err *e)
{
    struct loader *l = make_loader(b, b->kept, e);
    int rc = l != NULL ? 0 : e->code;
    for (int64_t i = 0; rc == 0 && i < (int64_t)b->split.n_train / b->recipe.batch; i++)
        rc = load(l, i, e);
    loader_free(l);
    return rc;
}

static struct trainer *make_trainer(const struct bench *b, const struct dataset *set,
                                    const struct recipe *recipe, struct err *e)
{
    const struct trainer_setup setup = {.recipe = recipe,
                                        .net = b->net,
                                        .set = set,
                                        .split = &b->split,
                                        .preprocess = &b->preprocess,
                                        .parent = "",
                                        .pool = b->pool,
                                        .kernels = kernels_best(),
                                        .loaders = b->loaders,
                                        .choices = b->choices,
                                        .measure_s = MEASURE_S};
    return trainer_new(&setup, e);
}

static int run(const struct bench *b, int rounds, struct err *e)
{
    struct recipe plain = b->recipe; /* a random crop is of pixels that are not kept */
    int64_t loaded = 0, computed = 0, both = 0;
    plain.augment.words = AUGMENT_CROP | AUGMENT_FLIP;
    struct loader *loader = make_loader(b, b->streamed, e);
    struct trainer *kept = make_trainer(b, b->kept, &plain, e);
    struct trainer *streamed = make_trainer(b, b->streamed, &b->recipe, e);
    int rc = loader != NULL && kept != NULL && streamed != NULL ? fill(b, e) : e->code;
    for (int i = 0; i < rounds && rc == 0; i++) {
        double load_s, compute_s, beside_s;
        rc = measure(b, load, loader, &loaded, &load_s, e);
        if (rc == 0) rc = measure(b, learn, kept, &computed, &compute_s, e);
        if (rc == 0) rc = measure(b, learn, streamed, &both, &beside_s, e);
        if (rc == 0)
            printf("{\"load\": %.1f, \"compute\": %.1f, \"beside\": %.1f}\n", load_s, compute_s,
                   beside_s);
    }
    loader_free(loader);
    trainer_free(kept);
    trainer_free(streamed);
    return rc;
}

static int open_sets(struct bench *b, const char *folder, struct err *e)
{
    char source[4096];
    snprintf(source, sizeof(source), "folder:%s", folder);
    int rc = dataset_open(source, DATA_TRAIN, NULL, &b->streamed, e);
    if (rc == 0) rc = dataset_open(source, DATA_TRAIN, NULL, &b->kept, e);
    return rc == 0 ? split_make(b->kept, 0, NULL, 0, &b->split, e) : rc;
}

static int open_bench(struct bench *b, char **argv, struct err *e)
{
    struct spec spec;
    int rc = open_sets(b, argv[4], e);
    if (rc == 0) rc = spec_read(argv[1], &spec, e);
    if (rc == 0) rc = spec_scale(&spec, atoi(argv[2]), dataset_classes(b->kept), e);
    if (rc < 0) return rc;
    recipe_default(&b->recipe, method_find(argv[3]));
    rc = augment_parse(argv[5], &b->recipe.augment, e);
    if (rc < 0) return rc;
    b->recipe.batch = atoi(argv[6]);
    b->recipe.epochs = EPOCHS;
    b->pool = pool_new((unsigned)atoi(argv[7]));
    b->loaders = atoi(argv[8]) > 0 ? (unsigned)atoi(argv[8]) : cpu_count();
    b->choices = choices_new(kernels_best());
    if (b->pool == NULL || b->choices == NULL) return err_set(e, -ENOMEM, "out of memory");
    b->net = net_new(&spec, e);
    if (b->net == NULL) return e->code;
    const struct shape input = net_input(b->net);
    b->preprocess = (struct preprocess){.width = input.width,
                                        .height = input.height,
                                        .resize = PREPROCESS_COVER,
                                        .filter = PREPROCESS_BILINEAR};
    dataset_normalisation(b->kept, b->preprocess.mean, b->preprocess.std);
    rc = dataset_keep(b->kept, &b->preprocess, UINT64_MAX, e);
    return rc < 0 ? rc : 0;
}

int main(int argc, char **argv)
{
    struct bench b = {0};
    struct err e = {0};
    if (argc != 11 || method_find(argv[3]) == NULL || atoi(argv[7]) < 1) return 2;
    cpu_prepare_blas(argv);
    b.seconds = atof(argv[10]);
    int rc = open_bench(&b, argv, &e);
    if (rc == 0) rc = run(&b, atoi(argv[9]), &e);
    if (rc < 0) fprintf(stderr, "bench_loading: %s\n", e.text);
    split_release(&b.split);
    dataset_free(b.streamed);
    dataset_free(b.kept);
    choices_free(b.choices);
    net_free(b.net);
    pool_free(b.pool);
    return rc < 0 ? 1 : 0;
}
