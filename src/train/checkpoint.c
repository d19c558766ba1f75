/* Checkpoints as safetensors files.
 *
 * Every option of the training stands in the metadata as "option.NAME", so that a training is never
 * continued by accident with other options: the comparison names the first that differs. Floating
 * sums are written as hexadecimal, which reads back exactly. The tensors lie in the same order as
 * in the net; nothing of the data set is stored. */
#include "config.h"

#include "train/checkpoint.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "model/model.h"
#include "model/safetensors.h"
#include "recipe/option.h"

/* Of one epoch's sums: a number takes 24 characters. */
enum { EPOCH_TEXT_MAX = 24 * ((OBJECTIVE_TERMS + 1) * SPEC_SECTIONS_MAX + 4) };

/* Five numbers before the name. */
enum { LOG_TEXT_MAX = 5 * 24 + CHECKPOINT_RUN_MAX };

enum { NAME_MAX_BYTES = 128, FORMAT_VERSION = 1, ALGORITHMS_MAX_BYTES = 1 << 20 };

static const char *const key_algorithms = "autodidact.algorithms", *const key_log =
                                                                       "autodidact.log";

/* Parameters, moments and running means of the largest model. */
static const size_t CHECKPOINT_BYTES_MAX = (size_t)8 * MODEL_FILE_MAX;

static const char *const prefix_state = "state.";

/* All that safetensors_write() needs, in one allocation's life. */
struct draft {
    struct tensor_out *tensors;
    char (*names)[NAME_MAX_BYTES];
    size_t n_tensors;
    struct meta_out meta[RECIPE_TEXTS_MAX + 7];
    int64_t counts[CHECKPOINT_ARRAYS_MAX];
    char keys[RECIPE_TEXTS_MAX][NAME_MAX_BYTES];
    char position[128], history[128], epoch[EPOCH_TEXT_MAX], log[LOG_TEXT_MAX];
    struct buf algorithms;
    size_t n_meta;
};

static void add_block(struct draft *d, const struct net *net, const struct checkpoint_block *block)
{
    size_t n_params;
    const struct param *list = net_params(net, &n_params);
    for (size_t i = 0; i < n_params; i++) {
        const struct param *p = &list[i];
        if (!block->whole && !p->trained) continue;
        char *name = d->names[d->n_tensors];
        snprintf(name, NAME_MAX_BYTES, "%s.%s", block->name, p->name);
        d->tensors[d->n_tensors++] =
            (struct tensor_out){name, p->n_dims, p->dims, block->values + p->offset, TENSOR_F32};
    }
}

static void add_array(struct draft *d, const struct checkpoint_array *array, int64_t *count)
{
    char *name = d->names[d->n_tensors];
    snprintf(name, NAME_MAX_BYTES, "%s%s%s", prefix_state, array->name, array->of);
    *count = (int64_t)array->count;
    d->tensors[d->n_tensors++] = (struct tensor_out){name, 1, count, array->values, TENSOR_F32};
}

static void add_meta(struct draft *d, const char *key, const char *value)
{
    d->meta[d->n_meta++] = (struct meta_out){key, value};
}

/* Numbers with a blank between them: batches, images, maps, then by exit what is right and each
 * term. */
static void format_sums(const struct objective_sums *sums, char ret_text[EPOCH_TEXT_MAX])
{
    size_t used = (size_t)snprintf(ret_text, EPOCH_TEXT_MAX, "%lld %lld %a",
                                   (long long)sums->batches, (long long)sums->images, sums->maps);
    for (int i = 0; i < SPEC_SECTIONS_MAX; i++) {
        used += (size_t)snprintf(ret_text + used, EPOCH_TEXT_MAX - used, " %lld",
                                 (long long)sums->right[i]);
        for (int t = 0; t < OBJECTIVE_TERMS; t++)
            used +=
                (size_t)snprintf(ret_text + used, EPOCH_TEXT_MAX - used, " %a", sums->loss[t][i]);
    }
}

/* When it began, bytes and checksum of table and events, its name behind a blank. */
static void format_log(const struct checkpoint_log *log, char ret_text[LOG_TEXT_MAX])
{
    snprintf(ret_text, LOG_TEXT_MAX, "%lld %lld %lld %lld %lld %s", (long long)log->started_s,
             (long long)log->table.bytes, (long long)log->table.crc, (long long)log->events.bytes,
             (long long)log->events.crc, log->run);
}

static bool take_count(const char **at, int64_t *ret)
{
    char *end;
    const long long value = strtoll(*at, &end, 10);
    if (end == *at || value < 0) return false;
    *at = end;
    *ret = value;
    return true;
}

static bool take_real(const char **at, double *ret)
{
    char *end;
    const double value = strtod(*at, &end);
    if (end == *at || !isfinite(value)) return false;
    *at = end;
    *ret = value;
    return true;
}

static bool parse_sums(const char *text, struct objective_sums *ret)
{
    bool good = take_count(&text, &ret->batches) && take_count(&text, &ret->images) &&
                take_real(&text, &ret->maps);
    for (int i = 0; good && i < SPEC_SECTIONS_MAX; i++) {
        good = take_count(&text, &ret->right[i]);
        for (int t = 0; good && t < OBJECTIVE_TERMS; t++) good = take_real(&text, &ret->loss[t][i]);
    }
    return good && *text == '\0';
}

static bool take_mark(const char **at, struct journal_mark *ret)
{
    int64_t bytes, crc;
    if (!take_count(at, &bytes) || !take_count(at, &crc) || crc > UINT32_MAX) return false;
    ret->bytes = bytes;
    ret->crc = (uint32_t)crc;
    return true;
}

/* Its name becomes a path's last part, so it is no path. */
static bool parse_log(const char *text, struct checkpoint_log *ret)
{
    if (!take_count(&text, &ret->started_s) || !take_mark(&text, &ret->table) ||
        !take_mark(&text, &ret->events) || *text++ != ' ')
        return false;
    const size_t length = strlen(text);
    if (length == 0 || length >= sizeof(ret->run) || strchr(text, '/') != NULL || text[0] == '.')
        return false;
    memcpy(ret->run, text, length + 1);
    return true;
}

static void fill_meta(struct draft *d, const struct checkpoint_position *position,
                      const struct recipe_text *texts, size_t n_texts)
{
    snprintf(d->position, sizeof(d->position), "%lld %lld %a", (long long)position->step,
             (long long)position->loss_count, position->loss_sum);
    add_meta(d, "autodidact.checkpoint", "1");
    add_meta(d, "autodidact.position", d->position);
    const struct checkpoint_history *h = &position->history;
    const int n = snprintf(d->history, sizeof(d->history), "%lld %lld %a", (long long)h->best_epoch,
                           (long long)h->idle, h->best_top1);
    if (h->has_end) snprintf(d->history + n, sizeof(d->history) - (size_t)n, " %a", h->end_top1);
    add_meta(d, "autodidact.history", d->history);
    format_sums(&position->sums, d->epoch);
    add_meta(d, "autodidact.epoch", d->epoch);
    if (position->log.run[0] != '\0') {
        format_log(&position->log, d->log);
        add_meta(d, key_log, d->log);
    }
    for (size_t i = 0; i < n_texts; i++) {
        snprintf(d->keys[i], NAME_MAX_BYTES, "option.%s", texts[i].name);
        add_meta(d, d->keys[i], texts[i].value);
    }
}

static bool are_finite(const float *values, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!isfinite(values[i])) return false;
    }
    return true;
}

static int check_finite(const struct checkpoint_state *state, int64_t step, struct err *e)
{
    bool finite = true;
    for (size_t i = 0; finite && i < state->n_blocks; i++) {
        const struct checkpoint_block *b = &state->blocks[i];
        finite = are_finite(b->values,
                            b->whole ? net_block_size(state->net) : net_trained_size(state->net));
    }
    for (size_t i = 0; finite && i < state->n_arrays; i++)
        finite = are_finite(state->arrays[i].values, state->arrays[i].count);
    if (finite) return 0;
    return err_set(e, ERR_DIVERGED, "it diverged: after step %lld parameters are not finite",
                   (long long)step);
}

int checkpoint_write(const char *path, const struct checkpoint_state *state,
                     const struct checkpoint_position *position, const struct recipe_text *texts,
                     size_t n_texts, struct err *e)
{
    int rc = check_finite(state, position->step, e);
    if (rc < 0) return rc;
    size_t n_params;
    net_params(state->net, &n_params);
    const size_t room = state->n_blocks * n_params + CHECKPOINT_ARRAYS_MAX;
    struct draft *d = mem_new(1, sizeof(*d));
    rc = -ENOMEM;
    if (d == NULL) goto out;
    buf_init(&d->algorithms, ALGORITHMS_MAX_BYTES);
    d->tensors = mem_new(room, sizeof(*d->tensors));
    d->names = mem_new(room, sizeof(*d->names));
    if (d->tensors == NULL || d->names == NULL) goto out;
    for (size_t i = 0; i < state->n_blocks; i++) add_block(d, state->net, &state->blocks[i]);
    for (size_t i = 0; i < state->n_arrays; i++) add_array(d, &state->arrays[i], &d->counts[i]);
    fill_meta(d, position, texts, n_texts);
    if (state->algorithms != NULL) {
        rc = choices_write_lines(state->algorithms, &d->algorithms);
        if (rc < 0) goto out;
        add_meta(d, key_algorithms, buf_text(&d->algorithms));
    }
    rc = safetensors_write(path, d->tensors, d->n_tensors, d->meta, d->n_meta, e);
out:
    if (rc == -ENOMEM) err_set(e, rc, "out of memory for the checkpoint %s", path);
    if (d != NULL) {
        mem_free(d->tensors);
        mem_free(d->names);
        buf_release(&d->algorithms);
    }
    mem_free(d);
    return rc;
}

/* Whether a training that had one value can go on with another. */
static bool may_go_on(const struct recipe_option *option, const char *stored, const char *value)
{
    const long long was = strtoll(stored, NULL, 10), is = strtoll(value, NULL, 10);
    if (option == NULL || option->change == RECIPE_SAME) return false;
    return option->change == RECIPE_ANY || (was > 0 && (is == 0 || is > was));
}

/* What is not an option of its own, the network and the images that are held out, has no "--". */
static int refuse_text(const struct recipe_option *option, const struct recipe_text *text,
                       const char *stored, struct err *e)
{
    static const char remedy[] = "to go on, give what it was made with; to begin anew, remove it";
    if (option == NULL) {
        return err_set(e, ERR_CONFLICT, "it was made with another %s: %s, not %s: %s", text->name,
                       stored, text->value, remedy);
    }
    if (option->change == RECIPE_MORE) {
        return err_set(e, ERR_CONFLICT,
                       "it was made with --%s %s, not %s, and may have more of them, not fewer: %s",
                       text->name, stored, text->value, remedy);
    }
    return err_set(e, ERR_CONFLICT, "it was made with --%s %s, not %s: %s", text->name, stored,
                   text->value, remedy);
}

static int compare_text(const struct safetensors *file, const struct recipe_text *text,
                        struct err *e)
{
    const struct recipe_option *option = recipe_option_find(text->name);
    char key[NAME_MAX_BYTES];
    snprintf(key, sizeof(key), "option.%s", text->name);
    const char *stored = safetensors_meta(file, key);
    if (stored == NULL ? text->implied : strcmp(stored, text->value) == 0) return 0;
    if (stored == NULL)
        stored = option != NULL && option->implied != NULL ? option->implied : "(not given)";
    if (may_go_on(option, stored, text->value)) return 0;
    return refuse_text(option, text, stored, e);
}

/* The held-out images come last: they may be another model's or data set's own, and then it is that
 * one which differs. */
static int compare_texts(const struct safetensors *file, const struct recipe_text *texts,
                         size_t n_texts, struct err *e)
{
    int rc = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < n_texts && rc == 0; i++) {
            const struct recipe_option *option = recipe_option_find(texts[i].name);
            bool of_holdout = option != NULL ? option->section == RECIPE_HOLDOUT
                                             : strcmp(texts[i].name, "held-out") == 0;
            if (of_holdout == (pass == 1)) rc = compare_text(file, &texts[i], e);
        }
    }
    return rc;
}

static bool parse_history(const char *text, struct checkpoint_history *ret)
{
    bool good = take_count(&text, &ret->best_epoch) && take_count(&text, &ret->idle) &&
                take_real(&text, &ret->best_top1);
    ret->has_end = good && *text != '\0';
    if (ret->has_end) good = take_real(&text, &ret->end_top1);
    return good && *text == '\0';
}

static int read_position(const struct safetensors *file, struct checkpoint_position *ret,
                         struct err *e)
{
    const char *version = safetensors_meta(file, "autodidact.checkpoint");
    if (version == NULL) return err_set(e, ERR_FORMAT, "it is not a checkpoint");
    if (strcmp(version, "1") != 0) {
        return err_set(e, ERR_UNSUPPORTED, "its format is %.20s, this program knows %d", version,
                       FORMAT_VERSION);
    }
    const char *text = safetensors_meta(file, "autodidact.position");
    long long step, count;
    double sum;
    if (text == NULL || sscanf(text, "%lld %lld %la", &step, &count, &sum) != 3 || step < 0 ||
        count < 0 || !isfinite(sum)) {
        return err_set(e, ERR_FORMAT, "its position is damaged");
    }
    struct checkpoint_position p = {.step = step, .loss_sum = sum, .loss_count = count};
    /* Older checkpoints have none of these; their epoch is then told of from here on. */
    const char *history = safetensors_meta(file, "autodidact.history"),
               *epoch = safetensors_meta(file, "autodidact.epoch"),
               *log = safetensors_meta(file, key_log);
    bool good =
        (epoch == NULL || parse_sums(epoch, &p.sums)) && (log == NULL || parse_log(log, &p.log));
    if (good && history != NULL) good = parse_history(history, &p.history);
    if (!good) return err_set(e, ERR_FORMAT, "its position is damaged");
    *ret = p;
    return 0;
}

static int read_tensor(const struct safetensors *file, const char *prefix, const char *name,
                       size_t count, float *values, struct err *e)
{
    char whole[NAME_MAX_BYTES];
    snprintf(whole, sizeof(whole), "%s%s", prefix, name);
    const struct tensor *t = safetensors_find(file, whole);
    if (t == NULL) return err_set(e, ERR_FORMAT, "it lacks the tensor %s", whole);
    if (t->count != count || t->type != TENSOR_F32)
        return err_set(e, ERR_FORMAT, "its tensor %s has another shape or type", whole);
    tensor_to_floats(t, values);
    return 0;
}

static int read_block(const struct safetensors *file, const struct net *net,
                      const struct checkpoint_block *block, struct err *e)
{
    size_t n_params;
    const struct param *list = net_params(net, &n_params);
    char prefix[NAME_MAX_BYTES];
    int rc = 0;
    snprintf(prefix, sizeof(prefix), "%s.", block->name);
    for (size_t i = 0; i < n_params && rc == 0; i++) {
        const struct param *p = &list[i];
        if (block->whole || p->trained)
            rc = read_tensor(file, prefix, p->name, p->size, block->values + p->offset, e);
    }
    return rc;
}

static int read_tensors(const struct safetensors *file, const struct checkpoint_state *state,
                        struct err *e)
{
    int rc = 0;
    for (size_t i = 0; i < state->n_blocks && rc == 0; i++)
        rc = read_block(file, state->net, &state->blocks[i], e);
    for (size_t i = 0; i < state->n_arrays && rc == 0; i++) {
        const struct checkpoint_array *a = &state->arrays[i];
        char name[NAME_MAX_BYTES];
        snprintf(name, sizeof(name), "%s%s", a->name, a->of);
        rc = read_tensor(file, prefix_state, name, a->count, a->values, e);
    }
    return rc;
}

/* A checkpoint's bytes and header; to be closed in either case. */
struct opened {
    char *bytes;
    struct safetensors *file;
};

static int open_file(const char *path, struct opened *ret, struct err *e)
{
    *ret = (struct opened){NULL, NULL};
    size_t size;
    int rc = file_read(path, CHECKPOINT_BYTES_MAX, &ret->bytes, &size, e);
    if (rc < 0) return rc;
    rc = safetensors_parse(ret->bytes, size, &ret->file, e);
    if (rc < 0) err_prefix(e, "the checkpoint %s", path);
    return rc;
}

static void close_file(struct opened *opened)
{
    safetensors_free(opened->file);
    mem_free(opened->bytes);
}

int checkpoint_read(const char *path, const struct recipe_text *texts, size_t n_texts,
                    struct checkpoint_position *ret_position, const struct checkpoint_state *state,
                    struct err *e)
{
    struct opened o;
    struct checkpoint_position position;
    int rc = open_file(path, &o, e);
    if (rc < 0) goto out;
    rc = read_position(o.file, &position, e);
    if (rc == 0) rc = compare_texts(o.file, texts, n_texts, e);
    if (rc == 0) rc = read_tensors(o.file, state, e);
    if (rc == 0) {
        *ret_position = position;
    } else {
        err_prefix(e, "the checkpoint %s", path);
    }
out:
    close_file(&o);
    return rc;
}

int checkpoint_algorithms(const char *path, struct choices *choices, struct err *e)
{
    struct opened o;
    int rc = open_file(path, &o, e);
    if (rc == 0) {
        const char *text = safetensors_meta(o.file, key_algorithms);
        if (text != NULL) rc = choices_read_lines(choices, text, strlen(text), e);
        if (rc < 0) err_prefix(e, "the checkpoint %s: algorithms", path);
    }
    close_file(&o);
    return rc;
}

int checkpoint_text(const char *path, const char *name, char ret_value[RECIPE_TEXT_MAX],
                    struct err *e)
{
    struct opened o;
    int rc = open_file(path, &o, e);
    if (rc == 0) {
        char key[NAME_MAX_BYTES];
        snprintf(key, sizeof(key), "option.%s", name);
        const char *stored = safetensors_meta(o.file, key);
        if (stored != NULL && strlen(stored) < RECIPE_TEXT_MAX) {
            memcpy(ret_value, stored, strlen(stored) + 1);
        } else {
            rc = err_set(e, ERR_NOT_FOUND, "the checkpoint %s does not say its --%s", path, name);
        }
    }
    close_file(&o);
    return rc;
}
