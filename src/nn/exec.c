/* Runs a plan. An exec has one block of memory: the input that a caller gathers, two borders (a
 * section writes one while it reads the other), the work area of one block of images, the kernels'
 * scratch. Input and borders are apart, so that the next section's input can be gathered while the
 * last one's output is still wanted.
 *
 * Threads that help take blocks of images, each in its own work area; of a lone block they take
 * parts of each operation that is worth it. */
#include "config.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "base/team.h"
#include "op.h"
#include "plan_impl.h"

struct exec {
    const struct plan *plan;
    int batch_max;
    int done; /* the section that ran last, -1: none */
    char *memory;
    float *input, *borders[2], *work;
    void *scratch;
    struct team team;
};

/* Images that a piece takes at a time. */
static int block_of(const struct plan_piece *piece, int batch_max)
{
    return piece->block < batch_max ? piece->block : batch_max;
}

/* Floats of the work area, large enough for every piece. */
static size_t work_floats(const struct plan *plan, int batch_max)
{
    size_t largest = 0;
    for (int s = 0; s < plan->net->spec.n_sections; s++) {
        const struct plan_piece *pieces[] = {&plan->sections[s], &plan->heads[s]};
        for (int i = 0; i < 2; i++) {
            size_t floats = pieces[i]->work * (size_t)block_of(pieces[i], batch_max);
            largest = floats > largest ? floats : largest;
        }
    }
    return largest;
}

/* Bytes of the whole; 0 when that is no number. */
static size_t total_bytes(const struct plan *plan, int batch)
{
    size_t bytes;
    if (mem_size(plan->input_floats + 2 * plan->border_floats, (size_t)batch * sizeof(float),
                 work_floats(plan, batch) * sizeof(float), &bytes) < 0 ||
        mem_size(bytes, 1, plan->scratch_bytes, &bytes) < 0)
        return 0;
    return bytes;
}

size_t plan_activation_bytes(const struct plan *plan, int batch)
{
    return total_bytes(plan, batch);
}

struct exec *exec_new(const struct plan *plan, int batch_max, struct err *e)
{
    assert(plan->weights != NULL); /* not an outline */
    if (batch_max < 1) {
        err_set(e, ERR_RANGE, "inference: a batch of %d images; it must have at least 1",
                batch_max);
        return NULL;
    }
    size_t bytes = total_bytes(plan, batch_max), images = (size_t)batch_max;
    struct exec *exec = mem_new_aligned(1, sizeof(*exec));
    if (exec != NULL) memset(exec, 0, sizeof(*exec));
    if (exec != NULL && bytes > 0) exec->memory = mem_new_aligned(bytes, 1);
    if (exec == NULL || exec->memory == NULL) {
        err_set(e, -ENOMEM,
                "inference: out of memory for batches of %d images; use smaller batches",
                batch_max);
        exec_free(exec);
        return NULL;
    }
    /* Resident from the start: neither the first large batch waits for pages, nor does memory
     * depend on which batches came. */
    memset(exec->memory, 0, bytes);
    exec->plan = plan;
    exec->batch_max = batch_max;
    exec->done = -1;
    exec->input = (float *)exec->memory;
    exec->borders[0] = exec->input + images * plan->input_floats;
    exec->borders[1] = exec->borders[0] + images * plan->border_floats;
    exec->work = exec->borders[1] + images * plan->border_floats;
    exec->scratch = exec->work + work_floats(plan, batch_max);
    return exec;
}

void exec_free(struct exec *exec)
{
    if (exec == NULL) return;
    mem_free(exec->memory);
    mem_free(exec);
}

float *exec_input(struct exec *exec, int section)
{
    assert(section >= 0 && section < exec->plan->net->spec.n_sections);
    (void)section;
    return exec->input;
}

void exec_invite(struct exec *exec)
{
    team_open(&exec->team);
}

void exec_dismiss(struct exec *exec)
{
    team_close(&exec->team);
}

bool exec_join(struct exec *exec)
{
    return team_join(&exec->team);
}

void exec_help(struct exec *exec, struct exec *own, const atomic_uint *calls, unsigned seen)
{
    assert(own->plan == exec->plan && own->batch_max == exec->batch_max);
    team_help(&exec->team, own, calls, seen);
}

/* What a piece works on, for one block of images. */
struct block {
    const struct plan *plan;
    const struct plan_piece *piece;
    const float *in;
    float *out, *work;
    int n, room; /* images in it; images that a value's place has room for */
};

static float *value_of(const struct block *b, int value)
{
    return value == b->piece->out ? b->out : b->work + b->plan->offsets[value] * (size_t)b->room;
}

static const float *source_of(const struct block *b, int value)
{
    return value == b->piece->in ? b->in : value_of(b, value);
}

/* A part of an operation; only those that may be cut come in several. */
static void run_op(const struct block *b, const struct plan_op *p, void *scratch,
                   struct conv_part part)
{
    const struct op_args args = {.plan = b->plan,
                                 .p = p,
                                 .n = b->n,
                                 .x = source_of(b, p->in),
                                 .residual = p->residual < 0 ? NULL : source_of(b, p->residual),
                                 .y = value_of(b, p->out),
                                 .scratch = scratch,
                                 .part = part};
    p->op->kind->infer.run(&args);
}

/* Images of a block that is made smaller so that there are more; fewer were slower. */
enum { BLOCK_LEAST = 8 };

/* A piece for a whole batch. */
struct piece_run {
    const struct plan *plan;
    const struct plan_piece *piece;
    const float *in;
    float *out;
    int batch, blocks, room;
};

/* Block i, of as equal sizes as can be, in this exec's work area. */
static struct block block_at(const struct piece_run *r, int i, const struct exec *exec)
{
    const struct value *values = r->plan->net->values;
    int first = (int)((int64_t)r->batch * i / r->blocks);
    int end = (int)((int64_t)r->batch * (i + 1) / r->blocks);
    return (struct block){.plan = r->plan,
                          .piece = r->piece,
                          .in = r->in + (size_t)first * shape_size(values[r->piece->in].shape),
                          .out = r->out + (size_t)first * shape_size(values[r->piece->out].shape),
                          .work = exec->work,
                          .n = end - first,
                          .room = r->room};
}

static void run_block(void *arg, unsigned chunk, void *mine)
{
    const struct piece_run *r = arg;
    const struct exec *exec = mine;
    struct block b = block_at(r, (int)chunk, exec);
    for (int k = r->piece->first; k < r->piece->first + r->piece->n; k++)
        run_op(&b, &r->plan->ops[k], exec->scratch, conv_whole);
}

/* An operation that several threads compute. */
struct shared_op {
    const struct block *block;
    const struct plan_op *op;
    int parts;
};

static void run_shared(void *arg, unsigned chunk, void *mine)
{
    const struct shared_op *s = arg;
    const struct exec *exec = mine;
    run_op(s->block, s->op, exec->scratch, (struct conv_part){(int)chunk, s->parts});
}

static bool may_cut(const struct plan_op *p, int images)
{
    bool (*may)(const struct plan_op *, int) = p->op->kind->infer.may_cut;
    return may != NULL && may(p, images);
}

static void run_lone_block(struct exec *exec, const struct piece_run *r)
{
    struct block b = block_at(r, 0, exec);
    for (int k = r->piece->first; k < r->piece->first + r->piece->n; k++) {
        const struct plan_op *op = &r->plan->ops[k];
        struct shared_op s = {&b, op, may_cut(op, b.n) ? (int)team_size(&exec->team) : 1};
        team_run(&exec->team, run_shared, &s, (unsigned)s.parts, exec);
    }
}

static void run_piece(struct exec *exec, const struct plan_piece *piece, const float *in,
                      float *out, int batch)
{
    int room = block_of(piece, exec->batch_max), blocks = (batch - 1) / room + 1;
    int threads = (int)team_size(&exec->team), most = batch / BLOCK_LEAST;
    /* Blocks for all, if they stay large enough to make good use of the weights; of several, as
     * many for each thread. */
    if (blocks < threads && blocks < most) blocks = threads < most ? threads : most;
    int even = (blocks + threads - 1) / threads * threads;
    if (blocks > 1 && even <= batch) blocks = even;
    struct piece_run r = {exec->plan, piece, in, out, batch, blocks, room};
    if (r.blocks > 1)
        team_run(&exec->team, run_block, &r, (unsigned)r.blocks, exec);
    else
        run_lone_block(exec, &r);
}

const float *exec_section(struct exec *exec, int section, int batch, bool from_previous)
{
    assert(section >= 0 && section < exec->plan->net->spec.n_sections);
    assert(batch >= 1 && batch <= exec->batch_max);
    assert(!from_previous || (section > 0 && exec->done == section - 1));
    const float *in = from_previous ? exec->borders[(section - 1) % 2] : exec->input;
    float *out = exec->borders[section % 2];
    run_piece(exec, &exec->plan->sections[section], in, out, batch);
    exec->done = section;
    return out;
}

void exec_head(struct exec *exec, int exit, int first, int batch, float *ret_logits)
{
    assert(exec->done == exit && first >= 0 && batch >= 1 && batch <= exec->batch_max - first);
    size_t size = shape_size(exec->plan->net->values[exec->plan->net->section_out[exit]].shape);
    run_piece(exec, &exec->plan->heads[exit], exec->borders[exit % 2] + (size_t)first * size,
              ret_logits, batch);
}
