/* The state of a trainer in checkpoints. */
#include "config.h"

#include "train/trainer.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "trainer_parts.h"

struct checkpoint_state trainer_state_of(struct trainer *t)
{
    const struct learner *student = &t->student, *peer = &t->peer;
    struct checkpoint_state s = {.net = student->net, .algorithms = t->algorithms};
    s.blocks[s.n_blocks++] = (struct checkpoint_block){"model", student->params, true};
    for (size_t m = 0; m < optimizer_moments(&t->recipe); m++) {
        const char *name = optimizer_moment_name(&t->recipe, m);
        s.blocks[s.n_blocks++] =
            (struct checkpoint_block){name, optimizer_moment(student->optimizer, m), false};
        if (peer->net == NULL) continue;
        s.arrays[s.n_arrays++] =
            (struct checkpoint_array){TRAINER_PEER ".", name, optimizer_moment(peer->optimizer, m),
                                      net_trained_size(peer->net)};
    }
    if (peer->net != NULL) {
        s.arrays[s.n_arrays++] =
            (struct checkpoint_array){TRAINER_PEER, "", peer->params, net_block_size(peer->net)};
    }
    if (t->average != NULL) {
        s.blocks[s.n_blocks++] =
            (struct checkpoint_block){"average", average_values(t->average), false};
    }
    if (t->peers_average != NULL) {
        s.arrays[s.n_arrays++] =
            (struct checkpoint_array){TRAINER_PEER ".", "average", average_values(t->peers_average),
                                      net_trained_size(peer->net)};
    }
    if (t->progressive != NULL) {
        struct checkpoint_array *a = &s.arrays[s.n_arrays++];
        *a = (struct checkpoint_array){.name = "answers", .of = ""};
        a->values = progressive_values(t->progressive, &a->count);
    }
    if (t->guide != NULL) s.n_arrays += guide_state(t->guide, s.arrays + s.n_arrays);
    return s;
}

static size_t statistics_size(const struct learner *l)
{
    return l->net != NULL ? net_block_size(l->net) - net_trained_size(l->net) : 0;
}

/* Numbers can be finite and far too large to compute with: whether the parameters as they stand
 * have a loss, that of the step that comes next, or behind the last one of that again. A checkpoint
 * without could only be resumed into an error. Moves nothing. */
static int probe(struct trainer *t, struct err *e)
{
    struct learner *student = &t->student, *peer = &t->peer;
    const size_t n = statistics_size(student), n_peer = statistics_size(peer);
    const struct checkpoint_position position = t->position; /* whose sums the pass adds to */
    float *kept = mem_new(n + n_peer + 1, sizeof(*kept));
    int rc = kept == NULL ? err_set(e, -ENOMEM, "out of memory for statistics of norms") : 0;
    rc = ranks_settle(t->setup.ranks, rc, e);
    if (rc < 0) goto out;
    memcpy(kept, student->params + net_trained_size(student->net), n * sizeof(*kept));
    if (peer->net != NULL)
        memcpy(kept + n, peer->params + net_trained_size(peer->net), n_peer * sizeof(*kept));
    rc = trainer_try(t, trainer_done(t) ? position.step - 1 : position.step, e);
    t->position = position;
    memcpy(student->params + net_trained_size(student->net), kept, n * sizeof(*kept));
    if (peer->net != NULL)
        memcpy(peer->params + net_trained_size(peer->net), kept + n, n_peer * sizeof(*kept));
out:
    mem_free(kept);
    return rc;
}

int trainer_save(struct trainer *trainer, const char *path, struct err *e)
{
    struct ranks *ranks = trainer->setup.ranks;
    int rc = probe(trainer, e);
    if (rc < 0) return rc;
    const struct checkpoint_state state = trainer_state_of(trainer);
    if (ranks_number(ranks) == 0)
        rc =
            checkpoint_write(path, &state, &trainer->position, trainer->texts, trainer->n_texts, e);
    return ranks_settle(ranks, rc, e);
}

static int read_state(struct trainer *t, const char *path, const struct checkpoint_state *state,
                      struct checkpoint_position *ret_position, struct err *e)
{
    int rc = checkpoint_read(path, t->texts, t->n_texts, ret_position, state, e);
    if (rc < 0 || ret_position->step <= trainer_steps(t)) return rc;
    return err_set(e, ERR_FORMAT, "the checkpoint %s stands at step %lld of %lld", path,
                   (long long)ret_position->step, (long long)trainer_steps(t));
}

int trainer_restore(struct trainer *trainer, const char *path, struct err *e)
{
    struct ranks *ranks = trainer->setup.ranks;
    struct checkpoint_position position = {0};
    const struct checkpoint_state state = trainer_state_of(trainer);
    if (trainer->trunk != NULL) trunk_unsettle(trainer->trunk);
    int rc = ranks_number(ranks) == 0 ? read_state(trainer, path, &state, &position, e) : 0;
    rc = ranks_settle(ranks, rc, e);
    if (rc < 0) return rc;
    for (size_t i = 0; i < state.n_blocks; i++) {
        const struct checkpoint_block *b = &state.blocks[i];
        size_t n = b->whole ? net_block_size(state.net) : net_trained_size(state.net);
        ranks_tell(ranks, b->values, n * sizeof(*b->values));
    }
    for (size_t i = 0; i < state.n_arrays; i++) {
        const struct checkpoint_array *a = &state.arrays[i];
        ranks_tell(ranks, a->values, a->count * sizeof(*a->values));
    }
    ranks_tell(ranks, &position, sizeof(position));
    trainer->position = position;
    return 0;
}
