/* See fixture.h. Failures abort: a fixture that does not work is no test result. */
#include "config.h"

#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/rng.h"
#include "decode/decoder.h"
#include "image/preprocess.h"
#include "nn/loss.h"

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                        \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

void default_options(struct engine_options *options)
{
    static struct decoder *decoder;
    const struct decoder_options one = {
        .foreground = 1, .background = 1, .time_max_ns = 60 * CLOCK_SECOND};
    if (decoder == NULL) CHECK(decoder_new(&one, NULL, &decoder, NULL) == 0);
    engine_options_default(options);
    options->decoder = decoder;
}

struct calibration tiny_calibration(void)
{
    return (struct calibration){.present = true,
                                .n_images = 1000,
                                .exits = {{.5, 1.5}, {.6, .8}, {.7, 1.2}, {.8, .9}},
                                .ensemble = {.9, 1.1}};
}

struct model *tiny_model(const char *name, uint64_t seed, const struct calibration *calibration)
{
    return tiny_model_changed(name, seed, calibration, NULL);
}

struct model *tiny_model_changed(const char *name, uint64_t seed,
                                 const struct calibration *calibration,
                                 void (*change)(const struct net *net, float *params))
{
    struct spec spec = {
        .classes = TINY_CLASSES,
        .channels = 3,
        .height = TINY_SIDE,
        .width = TINY_SIDE,
        .stem = {.kernel = 3, .channels = 4, .stride = 1, .pad = 1},
        .n_stages = 4,
        .stages = {{.block = SPEC_BLOCK_BASIC, .blocks = 1, .channels = 4, .stride = 1},
                   {.block = SPEC_BLOCK_BASIC, .blocks = 1, .channels = 8, .stride = 2},
                   {.block = SPEC_BLOCK_BASIC, .blocks = 1, .channels = 16, .stride = 2},
                   {.block = SPEC_BLOCK_BASIC, .blocks = 1, .channels = 32, .stride = 2}},
        .n_sections = TINY_SECTIONS,
        .cuts = {1, 2, 3, 4},
        .heads = {SPEC_HEAD_SCALA, 8}};
    snprintf(spec.name, sizeof(spec.name), "%s", name);
    struct err e = {.code = 0};
    struct net *net = net_new(&spec, &e);
    CHECK(net != NULL);
    float *params = mem_new(net_block_size(net), sizeof(float));
    CHECK(params != NULL);
    net_init_params(net, seed, params);
    if (change != NULL) change(net, params);
    static char text[TINY_CLASSES][16];
    char *labels[TINY_CLASSES];
    for (int i = 0; i < TINY_CLASSES; i++) {
        snprintf(text[i], sizeof(text[i]), "label %d", i);
        labels[i] = text[i];
    }
    struct preprocess preprocess = {.width = TINY_SIDE,
                                    .height = TINY_SIDE,
                                    .resize = PREPROCESS_STRETCH,
                                    .filter = PREPROCESS_BILINEAR,
                                    .mean = {.5f, .5f, .5f},
                                    .std = {.25f, .25f, .25f}};
    struct calibration none = {.present = false};
    struct training training = {.recipe.epochs = 1};
    char path[] = "/tmp/ad-serve-XXXXXX";
    int fd = mkstemp(path);
    CHECK(fd >= 0);
    close(fd);
    if (model_write(path, TENSOR_F32, net, params, labels, &preprocess,
                    calibration != NULL ? calibration : &none, &training, &e) < 0) {
        fprintf(stderr, "%s\n", e.text);
        abort();
    }
    char *bytes;
    size_t size;
    struct model *model;
    CHECK(file_read(path, MODEL_FILE_MAX, &bytes, &size, &e) == 0);
    const struct plan_options by_rule = {0};
    if (model_load_bytes(bytes, size, &model, &e) < 0 || model_plan(model, &by_rule, &e) < 0) {
        fprintf(stderr, "%s\n", e.text);
        abort();
    }
    unlink(path);
    mem_free(bytes);
    mem_free(params);
    net_free(net);
    return model;
}

static void put32(unsigned char *at, uint32_t v)
{
    for (int i = 0; i < 4; i++) at[i] = (unsigned char)(v >> (24 - 8 * i));
}

/* PNG, section 5: length, type, data, CRC-32 of type and data. */
static void png_chunk(struct png *png, const char *type, const unsigned char *data, size_t size)
{
    unsigned char *at = png->bytes + png->size;
    CHECK(png->size + size + 12 <= PNG_MAX);
    put32(at, (uint32_t)size);
    memcpy(at + 4, type, 4);
    if (size > 0) memcpy(at + 8, data, size);
    uint32_t crc = 0xffffffffu;
    for (size_t i = 4; i < size + 8; i++) {
        crc ^= at[i];
        for (int k = 0; k < 8; k++) crc = (crc & 1) != 0 ? crc >> 1 ^ 0xedb88320u : crc >> 1;
    }
    put32(at + 8 + size, ~crc);
    png->size += size + 12;
}

void png_make(struct png *png, unsigned seed)
{
    enum { ROW = 1 + 3 * TINY_SIDE, RAW = ROW * TINY_SIDE };
    static const unsigned char signature[] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
    memcpy(png->bytes, signature, sizeof(signature));
    png->size = sizeof(signature);
    unsigned char header[13] = {0};
    put32(header, TINY_SIDE);
    put32(header + 4, TINY_SIDE);
    header[8] = 8;
    header[9] = 2; /* RGB */
    png_chunk(png, "IHDR", header, sizeof(header));
    /* One stored deflate block in a zlib stream. */
    unsigned char data[2 + 5 + RAW + 4] = {
        0x78, 0x01, 1, RAW & 255, RAW >> 8, ~RAW & 255, (~RAW >> 8) & 255};
    unsigned char *raw = data + 7;
    struct rng rng;
    rng_init(&rng, 99, RNG_TEST, seed, 0);
    uint32_t a = 1, b = 0;
    for (int i = 0; i < RAW; i++) {
        raw[i] = i % ROW == 0 ? 0 : (unsigned char)rng_below(&rng, 256);
        a = (a + raw[i]) % 65521;
        b = (b + a) % 65521;
    }
    put32(raw + RAW, b << 16 | a);
    png_chunk(png, "IDAT", data, sizeof(data));
    png_chunk(png, "IEND", NULL, 0);
}

void expect_probabilities(const struct version *version, const struct png *png, int classifier,
                          float ret_probabilities[TINY_CLASSES])
{
    const struct model *model = version_model(version);
    const struct plan_options by_rule = {0};
    struct err e = {.code = 0};
    struct arena *arena = arena_new(1 << 20);
    struct plan *plan = plan_new_with(model->net, model->params, kernels_best(), &by_rule, &e);
    CHECK(plan != NULL);
    struct exec *exec = exec_new(plan, 1, &e);
    CHECK(arena != NULL && exec != NULL);
    struct image image;
    const struct image_decoding decoding = {.limits = &image_limits_default,
                                            .want = preprocess_want(&model->preprocess)};
    CHECK(image_decode(png->bytes, png->size, &decoding, arena, &image, &e) == 0);
    CHECK(preprocess_apply(&model->preprocess, &image, arena, exec_input(exec, 0), &e) == 0);
    const struct calibration *k = &model->calibration;
    const unsigned untrained = model->training.untrained;
    double weights[TINY_SECTIONS] = {0}, sum[TINY_CLASSES] = {0}, total = 0;
    for (int s = 0; s < TINY_SECTIONS; s++) {
        if (classifier == MODEL_ENSEMBLE)
            weights[s] = (untrained >> s & 1) != 0 ? 0 : 1;
        else if (classifier >= MODEL_RUNNING(0))
            weights[s] = k->running[classifier - MODEL_RUNNING(0)].weights[s];
        else
            weights[s] = s == classifier;
        total += weights[s];
    }
    for (int s = 0; s < TINY_SECTIONS; s++) {
        float logits[TINY_CLASSES];
        exec_section(exec, s, 1, s > 0);
        exec_head(exec, s, 0, 1, logits);
        for (int c = 0; c < TINY_CLASSES && weights[s] > 0; c++)
            sum[c] += weights[s] / total * (double)logits[c];
    }
    float mean[TINY_CLASSES];
    for (int c = 0; c < TINY_CLASSES; c++) mean[c] = (float)sum[c];
    loss_softmax(TINY_CLASSES, mean, model_temperature(model, classifier), ret_probabilities);
    exec_free(exec);
    plan_free(plan);
    arena_free(arena);
}

struct sla sla_of(const char *const *headers)
{
    struct sla_draft draft;
    struct sla sla;
    struct err e;
    sla_draft_init(&draft);
    for (; *headers != NULL; headers++) {
        char name[64];
        const char *colon = strchr(*headers, ':');
        CHECK(colon != NULL);
        snprintf(name, sizeof(name), "%.*s", (int)(colon - *headers), *headers);
        CHECK(sla_draft_header(&draft, name, colon + 1, &e) == 0);
    }
    CHECK(sla_draft_finish(&draft, SLA_DEEPEST, &sla, &e) == 0);
    return sla;
}

static void call_done(struct request *request)
{
    struct call *call = request->owner;
    pthread_mutex_lock(&call->lock);
    call->met = sla_met(&request->sla, request->arrival_ns, clock_now());
    call->done++;
    pthread_cond_signal(&call->cond);
    pthread_mutex_unlock(&call->lock);
}

void call_init(struct call *call, struct sla sla, const struct png *pngs, int n)
{
    CHECK(n <= CALL_IMAGES_MAX);
    memset(call, 0, sizeof(*call));
    pthread_mutex_init(&call->lock, NULL);
    pthread_cond_init(&call->cond, NULL);
    for (int i = 0; i < n; i++)
        call->images[i] = (struct input){.data = pngs[i].bytes, .size = pngs[i].size};
    call->request = (struct request){.arena = arena_new(1 << 20),
                                     .sla = sla,
                                     .arrival_ns = clock_now(),
                                     .images = call->images,
                                     .n_images = n,
                                     .done = call_done,
                                     .owner = call};
    CHECK(call->request.arena != NULL);
}

int call_wait(struct call *call)
{
    pthread_mutex_lock(&call->lock);
    while (call->done == 0) pthread_cond_wait(&call->cond, &call->lock);
    pthread_mutex_unlock(&call->lock);
    CHECK(call->done == 1);
    return call->request.status;
}

void call_reset(struct call *call)
{
    version_unref(call->request.version);
    arena_free(call->request.arena);
    pthread_cond_destroy(&call->cond);
    pthread_mutex_destroy(&call->lock);
}

int call_run(struct engine *engine, struct call *call)
{
    int rc = engine_submit(engine, &call->request);
    return rc < 0 ? rc : call_wait(call);
}

static void blocker_run(struct publication *publication)
{
    struct blocker *blocker = publication->owner;
    CHECK(publication->status == 0);
    pthread_mutex_lock(&blocker->lock);
    blocker->entered = 1;
    pthread_cond_broadcast(&blocker->cond);
    while (!blocker->released) pthread_cond_wait(&blocker->cond, &blocker->lock);
    blocker->left = 1;
    pthread_cond_broadcast(&blocker->cond);
    pthread_mutex_unlock(&blocker->lock);
}

void worker_block(struct engine *engine, struct blocker *blocker)
{
    static const double nothing[TINY_SECTIONS];
    memset(blocker, 0, sizeof(*blocker));
    pthread_mutex_init(&blocker->lock, NULL);
    pthread_cond_init(&blocker->cond, NULL);
    blocker->publication =
        (struct publication){.model = tiny_model("blocker", 1, NULL),
                             .cost = cost_new_linear(TINY_SECTIONS, 32, nothing, nothing),
                             .done = blocker_run,
                             .owner = blocker};
    CHECK(blocker->publication.cost != NULL);
    engine_publish(engine, &blocker->publication);
    pthread_mutex_lock(&blocker->lock);
    while (!blocker->entered) pthread_cond_wait(&blocker->cond, &blocker->lock);
    pthread_mutex_unlock(&blocker->lock);
}

void worker_release(struct blocker *blocker)
{
    pthread_mutex_lock(&blocker->lock);
    blocker->released = 1;
    pthread_cond_broadcast(&blocker->cond);
    while (!blocker->left) pthread_cond_wait(&blocker->cond, &blocker->lock);
    pthread_mutex_unlock(&blocker->lock);
    pthread_cond_destroy(&blocker->cond);
    pthread_mutex_destroy(&blocker->lock);
}

struct waiter {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    int done;
};

static void waiter_done(struct publication *publication)
{
    struct waiter *waiter = publication->owner;
    pthread_mutex_lock(&waiter->lock);
    waiter->done = 1;
    pthread_cond_signal(&waiter->cond);
    pthread_mutex_unlock(&waiter->lock);
}

int try_publication(struct engine *engine, struct model *model, struct publication *publication)
{
    struct waiter waiter = {.lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER};
    publication->model = model;
    publication->done = waiter_done;
    publication->owner = &waiter;
    engine_publish(engine, publication);
    pthread_mutex_lock(&waiter.lock);
    while (!waiter.done) pthread_cond_wait(&waiter.cond, &waiter.lock);
    pthread_mutex_unlock(&waiter.lock);
    CHECK((publication->status == 0) == (publication->model == NULL));
    CHECK(publication->status == publication->error.code && publication->cost == NULL);
    return publication->status;
}

int publish_version(struct engine *engine, struct model *model, int64_t number, struct cost *cost)
{
    struct publication publication = {.number = number, .cost = cost};
    int rc = try_publication(engine, model, &publication);
    model_free(publication.model);
    return rc;
}

int publish_now(struct engine *engine, struct model *model, struct cost *cost)
{
    return publish_version(engine, model, 0, cost);
}
