/* Checkpoints: what goes in comes out to the bit; other options, other nets, damage and a full disk
 * are refused with the reason, and the file that was there stays. */
#include <errno.h>
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/rng.h"
#include "../nn/tiny.h"
#include "recipe/option.h"
#include "train/checkpoint.h"

struct fixture {
    char dir[64], path[128];
    struct net *net;
    float *params, *momentum, extra[7];
    struct recipe recipe;
    struct recipe_text texts[RECIPE_TEXTS_MAX];
    size_t n_texts;
};

static int set_up(void **state)
{
    struct fixture *f = mem_new(1, sizeof(*f));
    snprintf(f->dir, sizeof(f->dir), "/tmp/autodidact-test-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->path, sizeof(f->path), "%s/x.ckpt", f->dir);
    f->net = tiny_net(8, 10);
    f->params = mem_new(net_block_size(f->net), sizeof(float));
    f->momentum = mem_new(net_trained_size(f->net), sizeof(float));
    net_init_params(f->net, 3, f->params);
    struct rng r;
    rng_init(&r, 1, RNG_TEST, 0, 0);
    for (size_t i = 0; i < net_trained_size(f->net); i++) f->momentum[i] = (float)rng_normal(&r);
    for (int i = 0; i < 7; i++) f->extra[i] = (float)rng_normal(&r);
    recipe_default(&f->recipe, method_find("byot"));
    f->n_texts = recipe_texts(&f->recipe, f->texts);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    file_remove_tree(f->dir, NULL);
    net_free(f->net);
    mem_free(f->params);
    mem_free(f->momentum);
    mem_free(f);
    return 0;
}

static struct checkpoint_position position_of(int64_t step)
{
    struct checkpoint_position at = {.step = step,
                                     .loss_sum = 1.0 / 3 * (double)step,
                                     .loss_count = 7,
                                     .sums = {.batches = 7, .images = 350, .maps = 1.0 / 7},
                                     .history = {0.1, step + 1, 3},
                                     .log = {"byot-2", 1764547200, {step + 2, UINT32_MAX}, {7, 0}}};
    for (int i = 0; i < SPEC_SECTIONS_MAX; i++) {
        at.sums.right[i] = step + i;
        for (int t = 0; t < OBJECTIVE_TERMS; t++)
            at.sums.loss[t][i] = -DBL_MAX / (1 + i + 10 * t); /* the longest texts */
    }
    return at;
}

static int write_it(struct fixture *f, int64_t step, struct err *e)
{
    const struct checkpoint_position at = position_of(step);
    const struct checkpoint_state s = {
        .net = f->net,
        .n_blocks = 2,
        .blocks = {{"model", f->params, true}, {"momentum", f->momentum, false}},
        .n_arrays = 2,
        .arrays = {{"a", "", f->extra, 3}, {"b.", "c", f->extra + 3, 4}}};
    return checkpoint_write(f->path, &s, &at, f->texts, f->n_texts, e);
}

/* Reads into blocks of its own and returns the position's step. */
static int64_t read_it(struct fixture *f, const struct net *net, struct err *e)
{
    float *params = mem_new(net_block_size(net), sizeof(*params));
    float *momentum = mem_new(net_trained_size(net), sizeof(*momentum));
    struct checkpoint_position at = {.step = -1};
    float extra[7] = {0};
    const struct checkpoint_state s = {
        .net = net,
        .n_blocks = 2,
        .blocks = {{"momentum", momentum, false}, {"model", params, true}},
        .n_arrays = 2,
        .arrays = {{"b.", "c", extra + 3, 4}, {"a", "", extra, 3}}};
    int rc = checkpoint_read(f->path, f->texts, f->n_texts, &at, &s, e);
    if (rc == 0) {
        assert_memory_equal(extra, f->extra, sizeof(extra));
        assert_memory_equal(params, f->params, net_block_size(net) * sizeof(*params));
        assert_memory_equal(momentum, f->momentum, net_trained_size(net) * sizeof(*params));
        const struct checkpoint_position wanted = position_of(at.step);
        assert_memory_equal(&at, &wanted, sizeof(at));
    }
    mem_free(params);
    mem_free(momentum);
    return rc < 0 ? rc : at.step;
}

static void test_round_trip(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    assert_int_equal(write_it(f, 1234567890123, &e), 0);
    assert_int_equal(read_it(f, f->net, &e), 1234567890123);
    assert_int_equal(write_it(f, 5, &e), 0);
    assert_int_equal(read_it(f, f->net, &e), 5);
}

/* Every option that determines the result is compared and named. */
static void test_other_options(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    assert_int_equal(write_it(f, 1, &e), 0);
    for (size_t i = 0; i < f->n_texts; i++) {
        struct recipe_text old = f->texts[i];
        strcat(f->texts[i].value, "1"); /* all are short */
        const struct recipe_option *option_of = recipe_option_find(old.name);
        const enum recipe_change change = option_of != NULL ? option_of->change : RECIPE_SAME;
        if (change == RECIPE_ANY || (change == RECIPE_MORE && strcmp(old.value, "0") != 0)) {
            assert_int_equal(read_it(f, f->net, &e), 1); /* longer, but never shorter */
            snprintf(f->texts[i].value, sizeof(f->texts[i].value), "1");
            if (change == RECIPE_MORE) {
                assert_int_equal(read_it(f, f->net, &e), ERR_CONFLICT);
                assert_non_null(strstr(e.text, "and may have more of them, not fewer"));
            } else {
                assert_int_equal(read_it(f, f->net, &e), 1);
            }
            f->texts[i] = old;
            continue;
        }
        assert_int_equal(read_it(f, f->net, &e), ERR_CONFLICT);
        char option[512];
        snprintf(option, sizeof(option),
                 option_of != NULL ? "made with --%s %s, not %s1"
                                   : "made with another %s: %s, not %s1",
                 old.name, old.value, old.value);
        assert_non_null(strstr(e.text, option));
        assert_non_null(strstr(e.text, "to begin anew, remove it"));
        assert_non_null(strstr(e.text, f->path));
        f->texts[i] = old;
    }
    assert_int_equal(read_it(f, f->net, &e), 1);
}

/* Arrays beside the net's: each of its size, none missing, all finite. */
static void test_arrays(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    struct checkpoint_position at;
    float values[7];
    struct checkpoint_state s = {
        .net = f->net, .n_blocks = 1, .blocks = {{"model", f->params, true}}, .n_arrays = 1};
    assert_int_equal(write_it(f, 1, &e), 0);
    s.arrays[0] = (struct checkpoint_array){"a", "", values, 4};
    assert_int_equal(checkpoint_read(f->path, f->texts, f->n_texts, &at, &s, &e), ERR_FORMAT);
    assert_non_null(strstr(e.text, "state.a has another shape"));
    s.arrays[0] = (struct checkpoint_array){"c", "", values, 4};
    assert_int_equal(checkpoint_read(f->path, f->texts, f->n_texts, &at, &s, &e), ERR_FORMAT);
    assert_non_null(strstr(e.text, "lacks the tensor state.c"));
    f->extra[5] = INFINITY;
    assert_int_equal(write_it(f, 2, &e), ERR_DIVERGED);
    f->extra[5] = 0;
    assert_int_equal(write_it(f, 2, &e), 0);
}

static void test_text(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    char text[RECIPE_TEXT_MAX];
    assert_int_equal(checkpoint_text(f->path, "epochs", text, &e), -ENOENT);
    assert_int_equal(write_it(f, 1, &e), 0);
    assert_int_equal(checkpoint_text(f->path, "epochs", text, &e), 0);
    assert_string_equal(text, "200");
    assert_int_equal(checkpoint_text(f->path, "epoch", text, &e), ERR_NOT_FOUND);
    assert_non_null(strstr(e.text, f->path));
}

static void test_option_texts(void **state)
{
    struct fixture *f = *state;
    struct {
        const char *name, *value;
    } wanted[] = {
        {"method", "byot"},       {"epochs", "200"},  {"lr", "0.1"}, {"weight-decay", "0.0005"},
        {"augment", "crop,flip"}, {"kd-scale", "on"}, {"seed", "0"}, {"schedule", "cosine"}};
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        bool found = false;
        for (size_t j = 0; j < f->n_texts; j++) {
            if (strcmp(f->texts[j].name, wanted[i].name) != 0) continue;
            assert_string_equal(f->texts[j].value, wanted[i].value);
            found = true;
        }
        assert_true(found);
    }
    f->recipe.method = method_find("dsn");
    assert_int_equal(recipe_texts(&f->recipe, f->texts), f->n_texts - 7);
}

/* Options that came later: a file that does not say them has their defaults, and any other value of
 * theirs is a conflict in both directions. */
static void test_implied(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    struct recipe_text all[RECIPE_TEXTS_MAX];
    size_t n = f->n_texts, implied = 0;
    memcpy(all, f->texts, sizeof(all));
    f->n_texts = 0;
    for (size_t i = 0; i < n; i++) {
        implied += all[i].implied;
        if (!all[i].implied) f->texts[f->n_texts++] = all[i];
    }
    assert_true(implied >= 4);
    assert_int_equal(write_it(f, 9, &e), 0);
    f->n_texts = recipe_texts(&f->recipe, f->texts);
    assert_int_equal(read_it(f, f->net, &e), 9);

    const struct recipe defaults = f->recipe;
    for (int option = 0; option < 4; option++) {
        static const char *const said[] = {"--hint norm", "--hint-exits 1,3",
                                           "--label-smoothing 0.1", "--mixup 0.2"};
        static const char *const implied_values[] = {"mean", "all", "0", "0"};
        char wanted[128];
        if (option == 0) f->recipe.hint = HINT_NORM;
        if (option == 1) f->recipe.hint_exits = 5;
        if (option == 2) f->recipe.label_smoothing = 0.1;
        if (option == 3) f->recipe.mixup = 0.2;
        f->n_texts = recipe_texts(&f->recipe, f->texts);
        assert_int_equal(read_it(f, f->net, &e), ERR_CONFLICT);
        assert_int_equal(write_it(f, 3, &e), 0);
        assert_int_equal(read_it(f, f->net, &e), 3);
        f->recipe = defaults;
        f->n_texts = recipe_texts(&f->recipe, f->texts);
        assert_int_equal(read_it(f, f->net, &e), ERR_CONFLICT);
        snprintf(wanted, sizeof(wanted), "%s, not %s", said[option], implied_values[option]);
        assert_non_null(strstr(e.text, wanted));
    }
}

static void test_other_net(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    assert_int_equal(write_it(f, 1, &e), 0);
    struct net *other = tiny_net(8, 11);
    assert_int_equal(read_it(f, other, &e), ERR_FORMAT);
    assert_non_null(strstr(e.text, "shape"));
    net_free(other);
}

static void test_not_finite(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    assert_int_equal(write_it(f, 1, &e), 0);
    float old = f->params[17];
    f->params[17] = INFINITY;
    assert_int_equal(write_it(f, 2, &e), ERR_DIVERGED);
    f->params[17] = old;
    assert_int_equal(read_it(f, f->net, &e), 1);
}

/* Cut at every length: an error, never a crash or half a training. */
static void test_cut_short(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    char *data;
    size_t size;
    assert_int_equal(write_it(f, 1, &e), 0);
    assert_int_equal(file_read(f->path, 1 << 24, &data, &size, &e), 0);
    for (size_t n = 0; n < size; n += n < 64 ? 1 : 1 + size / 97) {
        const struct file_piece piece = {data, n};
        assert_int_equal(file_write_atomic(f->path, &piece, 1, &e), 0);
        assert_true(read_it(f, f->net, &e) < 0);
        assert_non_null(strstr(e.text, f->path));
    }
    mem_free(data);
    unlink(f->path);
    assert_int_equal(read_it(f, f->net, &e), -ENOENT);
}

static void test_full_disk(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    assert_int_equal(write_it(f, 1, &e), 0);
    struct rlimit old, small;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small = old;
    small.rlim_cur = 2000;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    int rc = write_it(f, 2, &e);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(rc, -EFBIG);
    assert_int_equal(read_it(f, f->net, &e), 1);
}

static void test_no_memory(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    assert_int_equal(write_it(f, 1, &e), 0);
    bool written = false;
    for (unsigned n = 1; !written; n++) {
        mem_fail_at(n);
        int rc = write_it(f, 2, &e);
        written = mem_fail_left() > 0;
        mem_fail_at(0);
        assert_int_equal(rc, written ? 0 : -ENOMEM);
        assert_int_equal(read_it(f, f->net, &e), written ? 2 : 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_round_trip, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_other_options, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_arrays, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_text, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_option_texts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_implied, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_other_net, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_not_finite, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cut_short, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_full_disk, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_memory, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
