/* Batches made ahead.
 *
 * A ring would do for one thread; with several, each takes the next few images of the earliest
 * batch that has some left, so that all work on the batch that is waited for. A batch is
 *
 *     free -> opened (its images are known) -> claimed piece by piece -> done -> taken -> free
 *
 * all under one lock, which is held to claim a piece and to put it down again, and while an epoch's
 * order is drawn. Threads are nicer than those that compute: these wait for each other many times a
 * step, so one that is held up holds up all; whatever is left is enough, because who waits for a
 * batch leaves everything. */
#include "config.h"

#include "data/loader.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/mem.h"
#include "data/batch.h"

enum { PIECE = 4 /* images that are claimed at a time */, NICER = 5 };

struct buffer {
    int64_t step;         /* -1: free */
    size_t claimed, done; /* images; */
    size_t end;           /* of what is to be claimed: the batch, or less when it is given up */
    size_t failed;        /* the first image that could not be read; SIZE_MAX: none */
    struct err error;     /* of that */
    float *input;
    uint32_t *images;
    int32_t *labels;
};

struct loader {
    struct loader_setup setup;
    size_t size; /* floats of an image's input */
    size_t n;    /* images of a batch that are loaded */
    pthread_mutex_t lock;
    pthread_cond_t work, done; /* something may be claimed; a batch is done */
    struct buffer buffers[LOADER_BATCHES];
    struct buffer *taken; /* NULL: none */
    int64_t next;         /* the next step to open; -1: nobody has asked yet */
    uint32_t *order;      /* [n_images], of the epoch ordered */
    int64_t ordered;
    bool stop;
    pthread_t *threads;
    unsigned n_started;
};

static int64_t epoch_steps(const struct loader *l)
{
    return (int64_t)(l->setup.n_images / l->setup.batch);
}

static void open_buffer(struct loader *l, struct buffer *b)
{
    const struct loader_setup *s = &l->setup;
    const int64_t epoch = l->next / epoch_steps(l), at = l->next % epoch_steps(l);
    if (l->ordered != epoch) {
        batch_order(s->images, s->n_images, s->seed, (uint32_t)epoch, l->order);
        l->ordered = epoch;
    }
    b->step = l->next++;
    b->claimed = b->done = 0;
    b->end = l->n;
    b->failed = SIZE_MAX;
    for (size_t i = 0; i < l->n; i++) {
        const size_t place = batch_share(s->batch, s->batch / l->n, s->share, i);
        b->images[i] = l->order[(size_t)at * s->batch + place];
        b->labels[i] = dataset_class(s->set, b->images[i]);
    }
}

/* The earliest batch of which images are left, opened if there is room for one more; NULL: nothing
 * is to be done. */
static struct buffer *find_work(struct loader *l)
{
    struct buffer *found = NULL, *room = NULL;
    for (int i = 0; i < LOADER_BATCHES; i++) {
        struct buffer *b = &l->buffers[i];
        if (b->step < 0)
            room = b;
        else if (b->claimed < b->end && (found == NULL || b->step < found->step))
            found = b;
    }
    if (found != NULL || room == NULL || l->next < 0 || l->next >= l->setup.steps) return found;
    open_buffer(l, room);
    return room;
}

/* Without the lock. */
static int make_piece(const struct loader *l, struct buffer *b, size_t first, size_t end,
                      size_t *ret_failed, struct err *e)
{
    const struct loader_setup *s = &l->setup;
    const uint32_t epoch = (uint32_t)(b->step / epoch_steps(l));
    for (size_t i = first; i < end; i++) {
        int rc = batch_sample(s->set, b->images[i], s->preprocess, s->augment, s->seed, epoch,
                              b->input + i * l->size, e);
        if (rc < 0) {
            *ret_failed = i;
            return rc;
        }
    }
    return 0;
}

static void *loader_main(void *arg)
{
    struct loader *l = arg;
    const id_t self = (id_t)syscall(SYS_gettid);
    setpriority(PRIO_PROCESS, self, getpriority(PRIO_PROCESS, self) + NICER); /* or not: a wish */
    pthread_mutex_lock(&l->lock);
    while (!l->stop) {
        struct buffer *b = find_work(l);
        if (b == NULL) {
            pthread_cond_wait(&l->work, &l->lock);
            continue;
        }
        const size_t first = b->claimed, end = first + PIECE < b->end ? first + PIECE : b->end;
        size_t failed = SIZE_MAX;
        struct err e = {0};
        b->claimed = end;
        pthread_mutex_unlock(&l->lock);
        int rc = make_piece(l, b, first, end, &failed, &e);
        pthread_mutex_lock(&l->lock);
        if (rc < 0 && failed < b->failed) {
            b->failed = failed;
            b->error = e;
        }
        b->done += end - first;
        if (b->done == b->end) pthread_cond_broadcast(&l->done);
    }
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

/* Signals belong to the main thread. */
static int start_threads(struct loader *l)
{
    sigset_t all, old;
    sigfillset(&all);
    int rc = pthread_sigmask(SIG_SETMASK, &all, &old);
    for (unsigned i = 0; rc == 0 && i < l->setup.threads; i++) {
        rc = pthread_create(&l->threads[i], NULL, loader_main, l);
        if (rc != 0) break;
        char name[16];
        snprintf(name, sizeof(name), "load-%u", i);
        pthread_setname_np(l->threads[i], name);
        l->n_started++;
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return -rc;
}

static bool allocate(struct loader *l)
{
    const struct loader_setup *s = &l->setup;
    l->order = mem_new(s->n_images, sizeof(*l->order));
    l->threads = mem_new(s->threads, sizeof(*l->threads));
    bool made = l->order != NULL && l->threads != NULL;
    for (int i = 0; i < LOADER_BATCHES && made; i++) {
        struct buffer *b = &l->buffers[i];
        b->step = -1;
        b->input = mem_new_aligned(l->n, l->size * sizeof(*b->input));
        b->images = mem_new(l->n, sizeof(*b->images));
        b->labels = mem_new(l->n, sizeof(*b->labels));
        made = b->input != NULL && b->images != NULL && b->labels != NULL;
    }
    return made;
}

struct loader *loader_new(const struct loader_setup *setup, struct err *e)
{
    assert(setup->threads > 0 && setup->batch > 0 && setup->batch <= setup->n_images);
    struct loader *l = mem_new(1, sizeof(*l));
    if (l == NULL) {
        err_set(e, -ENOMEM, "out of memory");
        return NULL;
    }
    l->setup = *setup;
    l->n = setup->batch / (setup->shares > 0 ? setup->shares : 1);
    l->size = (size_t)setup->preprocess->width * (size_t)setup->preprocess->height * 3;
    l->next = l->ordered = -1;
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->work, NULL);
    pthread_cond_init(&l->done, NULL);
    int rc = allocate(l) ? start_threads(l) : -ENOMEM;
    if (rc == 0) return l;
    err_set(e, rc, "%s for batches of %zu, made ahead by %u threads",
            rc == -ENOMEM ? "out of memory" : "cannot start what it takes", setup->batch,
            setup->threads);
    loader_free(l);
    return NULL;
}

void loader_free(struct loader *l)
{
    if (l == NULL) return;
    pthread_mutex_lock(&l->lock);
    l->stop = true;
    pthread_cond_broadcast(&l->work);
    pthread_mutex_unlock(&l->lock);
    for (unsigned i = 0; i < l->n_started; i++) pthread_join(l->threads[i], NULL);
    pthread_cond_destroy(&l->work);
    pthread_cond_destroy(&l->done);
    pthread_mutex_destroy(&l->lock);
    for (int i = 0; i < LOADER_BATCHES; i++) {
        mem_free(l->buffers[i].input);
        mem_free(l->buffers[i].images);
        mem_free(l->buffers[i].labels);
    }
    mem_free(l->order);
    mem_free(l->threads);
    mem_free(l);
}

size_t loader_bytes(const struct loader *l)
{
    const size_t image = l->size * sizeof(float) + sizeof(uint32_t) + sizeof(int32_t);
    return LOADER_BATCHES * l->n * image + l->setup.n_images * sizeof(*l->order);
}

static struct buffer *find_step(struct loader *l, int64_t step)
{
    for (int i = 0; i < LOADER_BATCHES; i++) {
        if (l->buffers[i].step == step) return &l->buffers[i];
    }
    return NULL;
}

/* Gives up what is made and goes on at another step. */
static void begin_at(struct loader *l, int64_t step)
{
    l->next = -1;
    for (int i = 0; i < LOADER_BATCHES; i++) {
        struct buffer *b = &l->buffers[i];
        if (b->step < 0) continue;
        b->end = b->claimed;
        while (b->done < b->end) pthread_cond_wait(&l->done, &l->lock);
        b->step = -1;
    }
    l->next = step;
}

int loader_take(struct loader *l, int64_t step, struct loader_batch *ret_batch, struct err *e)
{
    assert(step >= 0 && step < l->setup.steps);
    int rc = 0;
    pthread_mutex_lock(&l->lock);
    if (l->taken != NULL) l->taken->step = -1;
    l->taken = NULL;
    struct buffer *b = find_step(l, step);
    if (b == NULL && l->next != step) begin_at(l, step);
    pthread_cond_broadcast(&l->work);
    while (b == NULL || b->done < b->end) {
        pthread_cond_wait(&l->done, &l->lock);
        b = find_step(l, step);
    }
    l->taken = b;
    if (b->failed != SIZE_MAX) {
        rc = b->error.code;
        if (e != NULL) *e = b->error;
    }
    *ret_batch = (struct loader_batch){b->input, b->images, b->labels};
    pthread_mutex_unlock(&l->lock);
    return rc;
}
