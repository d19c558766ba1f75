/* The pass of a trunk that does not learn. Each lane takes its images in small batches through all
 * sections of a plan; nothing but the ends of sections is kept. The plan is made of the parameters
 * at the first step, since a parent's come after the trainer has been made. */
#include "config.h"

#include "trunk.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "nn/plan.h"

enum { TRUNK_BATCH = 16 };

struct trunk {
    const struct net *net;
    const struct recipe *recipe;
    struct pool *pool;
    const struct kernels *kernels;
    unsigned n_lanes;
    struct plan *plan;   /* NULL: not settled */
    struct exec **execs; /* one a lane */
    struct grad *grad;   /* during a pass */
};

struct trunk *trunk_new(const struct net *net, const struct recipe *recipe, struct pool *pool,
                        const struct kernels *kernels, struct err *e)
{
    struct trunk *t = mem_new(1, sizeof(*t));
    if (t != NULL) {
        *t = (struct trunk){.net = net,
                            .recipe = recipe,
                            .pool = pool,
                            .kernels = kernels,
                            .n_lanes = pool != NULL ? pool_threads(pool) : 1};
        t->execs = mem_new(t->n_lanes, sizeof(*t->execs));
    }
    if (t == NULL || t->execs == NULL) {
        trunk_free(t);
        err_set(e, -ENOMEM, "out of memory for the trunk");
        return NULL;
    }
    return t;
}

void trunk_unsettle(struct trunk *t)
{
    for (unsigned i = 0; i < t->n_lanes && t->execs != NULL; i++) {
        exec_free(t->execs[i]);
        t->execs[i] = NULL;
    }
    plan_free(t->plan);
    t->plan = NULL;
}

void trunk_free(struct trunk *trunk)
{
    if (trunk == NULL) return;
    trunk_unsettle(trunk);
    mem_free(trunk->execs);
    mem_free(trunk);
}

size_t trunk_bytes(const struct trunk *t)
{
    if (t->plan == NULL) return 0;
    return plan_weight_bytes(t->plan) + t->n_lanes * plan_activation_bytes(t->plan, TRUNK_BATCH);
}

int trunk_settle(struct trunk *t, const float *params, struct err *e)
{
    if (t->plan != NULL) return 0;
    t->plan = plan_new(t->net, params, t->kernels, e);
    bool made = t->plan != NULL;
    for (unsigned i = 0; i < t->n_lanes && made; i++) {
        t->execs[i] = exec_new(t->plan, TRUNK_BATCH, e);
        made = t->execs[i] != NULL;
    }
    if (made) return 0;
    trunk_unsettle(t);
    return e->code;
}

static void pass_lane(void *arg, unsigned lane, unsigned n_lanes)
{
    struct trunk *t = arg;
    struct exec *exec = t->execs[lane];
    const size_t image = shape_size(net_input(t->net));
    size_t first, end;
    pool_range((size_t)recipe_micro_batch(t->recipe), lane, n_lanes, &first, &end);
    for (size_t at = first; at < end; at += TRUNK_BATCH) {
        const size_t n = end - at < TRUNK_BATCH ? end - at : TRUNK_BATCH;
        memcpy(exec_input(exec, 0), grad_input(t->grad) + at * image, n * image * sizeof(float));
        for (int s = 0; s < net_sections(t->net); s++) {
            const size_t size = shape_size(net_section_output(t->net, s));
            const float *map = exec_section(exec, s, (int)n, s > 0);
            memcpy(grad_end(t->grad, s) + at * size, map, n * size * sizeof(*map));
        }
    }
}

void trunk_pass(struct trunk *t, struct grad *grad)
{
    t->grad = grad;
    pool_run(t->pool, pass_lane, t);
    t->grad = NULL;
}
