/* The teacher's pass and the comparison of maps.
 *
 * Each lane takes its images in small batches through the teacher, section by section; at the end
 * of a section that is compared, every image is compared at once with the student's map, which
 * stands ready. So no map of the teacher outlives its section. The value is kept by image and
 * summed in their order; only the regressor's gradient is summed by lane, in lane order.
 *
 * Maps of different size meet at the smaller height and width by means over cells (our choice, as
 * most codes do: a hint then compares what both have). The regressor is a 1x1 convolution with
 * bias: a matrix product by image. It is none of the student's, learns with the student's
 * optimizer settings, and is dropped at the end. */
#include "config.h"

#include "guide.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "nn/loss.h"
#include "nn/loss_map.h"
#include "train/objective.h"
#include "train/optimizer.h"

enum { TEACHER_BATCH = 16 };

/* Two maps that are compared. */
struct pair {
    int student, teacher; /* sections */
    struct shape own, other, meeting_own, meeting_other;
};

struct guide {
    const struct recipe *recipe;
    const struct kernels *kernels;
    struct pool *pool;
    unsigned n_lanes;
    const struct plan *plan;
    const struct net *teacher;
    struct exec **execs; /* one a lane */
    float *logits;
    double *values; /* by image */
    int n_pairs;
    struct pair pairs[SPEC_SECTIONS_MAX];
    float *maps;  /* scratch of lane 0 */
    double *sums; /* likewise */
    size_t maps_stride, sums_stride, bytes;
    size_t n_regressor;
    float *regressor, *dregressor; /* the last one [n_lanes][n_regressor] */
    float *moments[OPTIMIZER_MOMENTS_MAX];
    struct grad *grad; /* the student's, during a pass */
};

static int middle(const struct net *net)
{
    return (net_sections(net) - 1) / 2;
}

unsigned guide_borders(const struct method *method, const struct net *student)
{
    if (method->guide == METHOD_HINT) return 1u << middle(student);
    return method->guide == METHOD_ATTENTION ? (1u << net_sections(student)) - 1 : 0;
}

int guide_check(const struct method *method, const struct net *student, const struct net *teacher,
                struct err *e)
{
    struct shape a = net_input(student), b = net_input(teacher);
    if (net_classes(student) != net_classes(teacher)) {
        return err_set(e, ERR_CONFLICT, "it has %d classes, the student %d", net_classes(teacher),
                       net_classes(student));
    }
    if (a.width != b.width || a.height != b.height || a.channels != b.channels) {
        return err_set(e, ERR_CONFLICT,
                       "it takes images of %dx%d with %d channels, the student of %dx%d with %d",
                       b.width, b.height, b.channels, a.width, a.height, a.channels);
    }
    if (method->guide == METHOD_ATTENTION && net_sections(student) != net_sections(teacher)) {
        return err_set(e, ERR_CONFLICT,
                       "it has %d sections, the student %d: %s compares them one by one",
                       net_sections(teacher), net_sections(student), method->name);
    }
    return 0;
}

/* --- life ------------------------------------------------------------------------------------- */

static void make_pairs(struct guide *g, const struct net *student)
{
    unsigned borders = guide_borders(g->recipe->method, student);
    for (int s = 0; s < net_sections(student); s++) {
        if ((borders >> s & 1) == 0) continue;
        bool hint = g->recipe->method->guide == METHOD_HINT;
        struct pair *p = &g->pairs[g->n_pairs++];
        *p = (struct pair){.student = s, .teacher = hint ? middle(g->teacher) : s};
        p->own = net_section_output(student, p->student);
        p->other = net_section_output(g->teacher, p->teacher);
        p->meeting_own = map_meeting(p->own, p->other);
        p->meeting_other = map_meeting(p->other, p->own);
        size_t maps = 2 * shape_size(p->meeting_own) + 3 * shape_size(p->meeting_other);
        size_t sums = 2 * (size_t)p->meeting_own.height * (size_t)p->meeting_own.width;
        g->maps_stride = maps > g->maps_stride ? maps : g->maps_stride;
        g->sums_stride = sums > g->sums_stride ? sums : g->sums_stride;
        if (hint) {
            g->n_regressor = (size_t)p->other.channels * ((size_t)p->own.channels + 1);
        }
    }
    const size_t line = MEM_ALIGN / sizeof(float);
    g->maps_stride = (g->maps_stride + line - 1) / line * line;
    g->sums_stride = (g->sums_stride + line - 1) / line * line;
}

/* Weights and biases as PyTorch begins a convolution: uniform up to 1 / sqrt(student's channels).
 */
static void init_regressor(struct guide *g)
{
    struct rng rng;
    rng_init(&rng, g->recipe->seed, RNG_INIT, 0, 1); /* the student's have 0 in the last place */
    double limit = 1.0 / sqrt((double)g->pairs[0].own.channels);
    for (size_t i = 0; i < g->n_regressor; i++) {
        g->regressor[i] = (float)(limit * (2.0 * rng_uniform(&rng) - 1.0));
    }
    for (size_t m = 0; m < optimizer_moments(g->recipe); m++)
        memset(g->moments[m], 0, g->n_regressor * sizeof(*g->moments[m]));
}

static void *take(struct guide *g, size_t count, size_t size)
{
    void *block = mem_new_aligned(count, size);
    if (block != NULL) g->bytes += count * size;
    return block;
}

static int allocate(struct guide *g, struct err *e)
{
    size_t n = g->n_lanes, batch = (size_t)recipe_micro_batch(g->recipe);
    g->execs = mem_new(n, sizeof(*g->execs));
    g->logits = take(g, batch * (size_t)net_classes(g->teacher), sizeof(*g->logits));
    g->values = take(g, batch, sizeof(*g->values));
    bool made = g->execs != NULL && g->logits != NULL && g->values != NULL;
    if (made && g->n_pairs > 0) {
        g->maps = take(g, n, g->maps_stride * sizeof(*g->maps));
        g->sums = take(g, n, g->sums_stride * sizeof(*g->sums));
        made = g->maps != NULL && g->sums != NULL;
    }
    if (made && g->n_regressor > 0) {
        g->regressor = take(g, g->n_regressor, sizeof(*g->regressor));
        g->dregressor = take(g, n, g->n_regressor * sizeof(*g->dregressor));
        made = g->regressor != NULL && g->dregressor != NULL;
        for (size_t m = 0; m < optimizer_moments(g->recipe) && made; m++) {
            g->moments[m] = take(g, g->n_regressor, sizeof(*g->moments[m]));
            made = g->moments[m] != NULL;
        }
    }
    if (!made) return err_set(e, -ENOMEM, "out of memory for the teacher of a batch of %zu", batch);
    for (size_t i = 0; i < n; i++) {
        g->execs[i] = exec_new(g->plan, TEACHER_BATCH, e);
        if (g->execs[i] == NULL) return e->code;
        g->bytes += plan_activation_bytes(g->plan, TEACHER_BATCH);
    }
    return 0;
}

struct guide *guide_new(const struct recipe *recipe, const struct net *student,
                        const struct plan *teacher, struct pool *pool,
                        const struct kernels *kernels, struct err *e)
{
    if (guide_check(recipe->method, student, plan_net(teacher), e) < 0) {
        err_prefix(e, "the teacher");
        return NULL;
    }
    struct guide *g = mem_new(1, sizeof(*g));
    if (g == NULL) {
        err_set(e, -ENOMEM, "out of memory");
        return NULL;
    }
    g->recipe = recipe;
    g->kernels = kernels;
    g->pool = pool;
    g->n_lanes = pool != NULL ? pool_threads(pool) : 1;
    g->plan = teacher;
    g->teacher = plan_net(teacher);
    make_pairs(g, student);
    if (allocate(g, e) < 0) {
        guide_free(g);
        return NULL;
    }
    if (g->n_regressor > 0) init_regressor(g);
    return g;
}

void guide_free(struct guide *g)
{
    if (g == NULL) return;
    for (unsigned i = 0; g->execs != NULL && i < g->n_lanes; i++) exec_free(g->execs[i]);
    mem_free(g->execs);
    mem_free(g->logits);
    mem_free(g->values);
    mem_free(g->maps);
    mem_free(g->sums);
    mem_free(g->regressor);
    for (size_t m = 0; m < OPTIMIZER_MOMENTS_MAX; m++) mem_free(g->moments[m]);
    mem_free(g->dregressor);
    mem_free(g);
}

size_t guide_bytes(const struct guide *guide)
{
    return guide->bytes;
}

const float *guide_logits(const struct guide *guide)
{
    return guide->logits;
}

float *guide_regressor(struct guide *guide, size_t *ret_size)
{
    *ret_size = guide->n_regressor;
    return guide->regressor;
}

float *guide_dregressor(struct guide *guide)
{
    return guide->dregressor;
}

size_t guide_state(struct guide *g, struct checkpoint_array ret_arrays[GUIDE_ARRAYS_MAX])
{
    if (g->n_regressor == 0) return 0;
    size_t n = 0;
    ret_arrays[n++] = (struct checkpoint_array){"regressor", "", g->regressor, g->n_regressor};
    for (size_t m = 0; m < optimizer_moments(g->recipe); m++) {
        ret_arrays[n++] = (struct checkpoint_array){
            "regressor.", optimizer_moment_name(g->recipe, m), g->moments[m], g->n_regressor};
    }
    return n;
}

/* --- comparing -------------------------------------------------------------------------------- */

static bool is_same_size(struct shape a, struct shape b)
{
    return a.height == b.height && a.width == b.width;
}

/* The hint of an image: student [pixels][cs], r and dr [pixels][ct] scratch. */
static double hint(struct guide *g, const struct pair *p, unsigned lane, const float *student,
                   const float *teacher, float *dstudent, float *r)
{
    int pixels = p->meeting_own.height * p->meeting_own.width;
    int cs = p->own.channels, ct = p->other.channels;
    size_t count = shape_size(p->meeting_other), weights = (size_t)ct * (size_t)cs;
    const float *bias = g->regressor + weights;
    float *dw = g->dregressor + lane * g->n_regressor, *dbias = dw + weights, *dr = r + count;
    for (int i = 0; i < pixels; i++)
        memcpy(r + (size_t)i * (size_t)ct, bias, (size_t)ct * sizeof(*r));
    g->kernels->gemm(false, true, pixels, ct, cs, student, cs, g->regressor, cs, 1.0f, r, ct);
    memset(dr, 0, count * sizeof(*dr));
    double weight = objective_guide_weight(g->recipe) / (double)recipe_micro_batch(g->recipe);
    double value = loss_hint(pixels, ct, r, teacher, weight, dr);
    g->kernels->gemm(true, false, ct, cs, pixels, dr, ct, student, cs, 1.0f, dw, cs);
    for (int i = 0; i < pixels; i++)
        g->kernels->add((size_t)ct, dr + (size_t)i * (size_t)ct, dbias);
    g->kernels->gemm(false, false, pixels, cs, ct, dr, ct, g->regressor, cs, 1.0f, dstudent, cs);
    return value;
}

static double compare_met(struct guide *g, const struct pair *p, unsigned lane,
                          const float *student, const float *teacher, float *dstudent,
                          float *scratch)
{
    if (g->recipe->method->guide == METHOD_HINT)
        return hint(g, p, lane, student, teacher, dstudent, scratch);
    int pixels = p->meeting_own.height * p->meeting_own.width;
    double weight = objective_guide_weight(g->recipe) / (double)recipe_micro_batch(g->recipe);
    return loss_attention(pixels, p->own.channels, student, p->other.channels, teacher, weight,
                          dstudent, g->sums + lane * g->sums_stride);
}

/* Scratch of a lane: the student's map, its gradient, the teacher's map, then what a hint needs. */
static double compare(struct guide *g, const struct pair *p, unsigned lane, size_t image,
                      const float *teacher)
{
    size_t size = shape_size(p->own), met = shape_size(p->meeting_own);
    const float *student = grad_border(g->grad, p->student) + image * size;
    float *whole = grad_dborder(g->grad, p->student) + image * size, *dstudent = whole;
    float *maps = g->maps + lane * g->maps_stride, *other = maps + 2 * met;
    bool shrinks = !is_same_size(p->own, p->meeting_own);
    if (shrinks) {
        map_mean(p->own, student, p->meeting_own, maps);
        student = maps;
        dstudent = maps + met;
        memset(dstudent, 0, met * sizeof(*dstudent));
    }
    if (!is_same_size(p->other, p->meeting_other)) {
        map_mean(p->other, teacher, p->meeting_other, other);
        teacher = other;
    }
    double value =
        compare_met(g, p, lane, student, teacher, dstudent, other + shape_size(p->meeting_other));
    if (shrinks) map_mean_backward(p->own, dstudent, p->meeting_own, whole);
    return value;
}

/* One section of the teacher's pass over images [first, first + n). */
static void pass_section(struct guide *g, unsigned lane, int section, size_t first, int n)
{
    const float *map = exec_section(g->execs[lane], section, n, section > 0);
    size_t size = shape_size(net_section_output(g->teacher, section));
    for (int j = 0; j < g->n_pairs; j++) {
        if (g->pairs[j].teacher != section) continue;
        for (size_t i = 0; i < (size_t)n; i++)
            g->values[first + i] += compare(g, &g->pairs[j], lane, first + i, map + i * size);
    }
}

static void pass_lane(void *arg, unsigned lane, unsigned n_lanes)
{
    struct guide *g = arg;
    size_t first, end, image = shape_size(net_input(g->teacher));
    int last = net_sections(g->teacher) - 1;
    if (g->n_regressor > 0) {
        memset(g->dregressor + lane * g->n_regressor, 0, g->n_regressor * sizeof(*g->dregressor));
    }
    pool_range((size_t)recipe_micro_batch(g->recipe), lane, n_lanes, &first, &end);
    for (size_t at = first; at < end; at += TEACHER_BATCH) {
        int n = end - at < TEACHER_BATCH ? (int)(end - at) : TEACHER_BATCH;
        memcpy(exec_input(g->execs[lane], 0), grad_input(g->grad) + at * image,
               (size_t)n * image * sizeof(float));
        for (int i = 0; i < n; i++) g->values[at + (size_t)i] = 0.0;
        for (int s = 0; s <= last; s++) pass_section(g, lane, s, at, n);
        exec_head(g->execs[lane], last, 0, n, g->logits + at * (size_t)net_classes(g->teacher));
    }
}

double guide_pass(struct guide *g, struct grad *student)
{
    double sum = 0.0;
    g->grad = student;
    pool_run(g->pool, pass_lane, g);
    g->grad = NULL;
    for (unsigned i = 1; i < g->n_lanes && g->n_regressor > 0; i++)
        g->kernels->add(g->n_regressor, g->dregressor + i * g->n_regressor, g->dregressor);
    const int64_t n = recipe_micro_batch(g->recipe);
    for (int64_t i = 0; i < n; i++) sum += g->values[i];
    return sum;
}

double guide_square(const struct guide *g)
{
    double sum = 0.0;
    for (size_t i = 0; i < g->n_regressor; i++)
        sum += (double)g->dregressor[i] * (double)g->dregressor[i];
    return sum;
}

/* Weights, then biases, which need not decay. */
void guide_step(struct guide *g, const struct optimizer_step *step)
{
    if (g->n_regressor == 0) return;
    const size_t biases = (size_t)g->pairs[0].other.channels, weights = g->n_regressor - biases;
    const size_t at[] = {0, weights}, n[] = {weights, biases};
    for (int i = 0; i < 2; i++) {
        float *moments[OPTIMIZER_MOMENTS_MAX] = {g->moments[0] + at[i], NULL};
        if (g->moments[1] != NULL) moments[1] = g->moments[1] + at[i];
        const bool decays = i == 0 || g->recipe->decay_on == DECAY_ON_ALL;
        optimizer_move(g->kernels, g->recipe, step, decays, n[i], g->dregressor + at[i], moments,
                       g->regressor + at[i]);
    }
}
