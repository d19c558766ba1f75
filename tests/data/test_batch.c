/* Batches: an epoch's order is a permutation, a sample is a crop and a mirror of the image, and
 * both are functions of seed, epoch and sample alone. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "data/batch.h"
#include "fake_cifar.h"

enum { SIDE = 32, FLOATS = SIDE * SIDE * 3, PAD = 4 };

static const struct preprocess normal = {SIDE,
                                         SIDE,
                                         PREPROCESS_STRETCH,
                                         PREPROCESS_BILINEAR,
                                         {0.5071f, 0.4865f, 0.4409f},
                                         {0.2673f, 0.2564f, 0.2762f}};
static struct dataset *set;

static int open_set(void **state)
{
    static const uint32_t which[] = {0, 1, 2, 3};
    struct err e = {0};
    if (fake_begin(state) < 0) return -1;
    fake_write_records("train.bin", which, 4);
    return dataset_open(fake_source, DATA_TRAIN, NULL, &set, &e);
}

static int close_set(void **state)
{
    dataset_free(set);
    return fake_end(state);
}
static void test_order(void **state)
{
    (void)state;
    enum { N = 1000 };
    uint32_t source[N], first[N], second[N], again[N];
    for (uint32_t i = 0; i < N; i++) source[i] = 3 * i + 1;
    batch_order(source, N, 9, 0, first);
    batch_order(source, N, 9, 1, second);
    batch_order(source, N, 9, 0, again);
    assert_memory_equal(first, again, sizeof(first));
    assert_memory_not_equal(first, second, sizeof(first));
    batch_order(source, N, 10, 0, again);
    assert_memory_not_equal(first, again, sizeof(first));

    bool seen[N] = {false};
    double displacement = 0;
    for (uint32_t i = 0; i < N; i++) {
        uint32_t from = (first[i] - 1) / 3;
        assert_true(first[i] % 3 == 1 && from < N && !seen[from]);
        seen[from] = true;
        displacement += from > i ? from - i : i - from;
    }
    assert_true(displacement / N > N / 4.0 && displacement / N < N / 2.5); /* N/3 expected */

    memcpy(again, source, sizeof(source)); /* in place */
    batch_order(again, N, 9, 0, again);
    assert_memory_equal(first, again, sizeof(first));
    batch_order(source, 0, 9, 0, again);
    batch_order(source, 1, 9, 0, again);
    assert_int_equal(again[0], source[0]);
}

/* Each of the six orders of three comes up as often as the others. */
static void test_order_uniform(void **state)
{
    (void)state;
    enum { EPOCHS = 6000 };
    static const uint32_t source[] = {0, 1, 2};
    int counts[27] = {0}, orders = 0;
    for (uint32_t epoch = 0; epoch < EPOCHS; epoch++) {
        uint32_t order[3];
        batch_order(source, 3, 1, epoch, order);
        counts[order[0] * 9 + order[1] * 3 + order[2]]++;
    }
    for (int i = 0; i < 27; i++) {
        if (counts[i] == 0) continue;
        orders++;
        assert_in_range(counts[i], 850, 1150); /* five deviations around 1000 */
    }
    assert_int_equal(orders, 6);
}

/* The sample as the definition has it: padded with black, cut out, mirrored, then normalised. */
static void expected_sample(size_t i, int top, int left, bool flip, float *ret_input)
{
    static uint8_t padded[SIDE + 2 * PAD][SIDE + 2 * PAD][3];
    static uint8_t cut[SIDE][SIDE][3];
    memset(padded, 0, sizeof(padded));
    const uint8_t *pixels = dataset_pixels(set, i);
    for (int y = 0; y < SIDE; y++) memcpy(padded[y + PAD][PAD], pixels + y * SIDE * 3, SIDE * 3);
    for (int y = 0; y < SIDE; y++) {
        for (int x = 0; x < SIDE; x++) {
            memcpy(cut[y][flip ? SIDE - 1 - x : x], padded[y + PAD + top][x + PAD + left], 3);
        }
    }
    preprocess_normalise(&normal, cut[0][0], SIDE * SIDE, ret_input);
}

/* Which of the 162 views it is; fails when it is none. */
static int find_view(size_t i, const float *input)
{
    static float expected[FLOATS];
    for (int view = 0; view < 162; view++) {
        expected_sample(i, view / 2 / 9 - PAD, view / 2 % 9 - PAD, view % 2 == 1, expected);
        if (memcmp(input, expected, sizeof(expected)) == 0) return view;
    }
    fail_msg("sample %zu is no crop of its image", i);
    return -1;
}

static const struct augment crop = {.words = AUGMENT_CROP}, flip_alone = {.words = AUGMENT_FLIP},
                            both = {.words = AUGMENT_CROP | AUGMENT_FLIP};

static void test_sample(void **state)
{
    (void)state;
    static float input[FLOATS], again[FLOATS], plain[FLOATS];
    int flips = 0, tops[9] = {0}, lefts[9] = {0};
    enum { EPOCHS = 100 };
    for (uint32_t epoch = 0; epoch < EPOCHS; epoch++) {
        size_t i = epoch % 4;
        assert_int_equal(batch_sample(set, i, &normal, &both, 5, epoch, input, NULL), 0);
        int view = find_view(i, input);
        /* The draws that say so: resuming with a later program must give the same. */
        struct rng rng;
        rng_init(&rng, 5, RNG_AUGMENT, epoch, (uint32_t)i);
        uint32_t top = rng_below(&rng, 9), left = rng_below(&rng, 9), flip = rng_below(&rng, 2);
        assert_int_equal(view, (top * 9 + left) * 2 + flip);
        flips += view % 2;
        tops[view / 2 / 9]++;
        lefts[view / 2 % 9]++;
        /* One augmentation alone makes the same choice. */
        assert_int_equal(batch_sample(set, i, &normal, &crop, 5, epoch, again, NULL), 0);
        assert_int_equal(find_view(i, again), view - view % 2);
        assert_int_equal(batch_sample(set, i, &normal, &flip_alone, 5, epoch, again, NULL), 0);
        assert_int_equal(find_view(i, again), 80 + view % 2); /* offsets 0,0 */
    }
    assert_in_range(flips, 25, 75);
    for (int k = 0; k < 9; k++) assert_true(tops[k] > 0 && lefts[k] > 0);

    assert_int_equal(batch_sample(set, 2, &normal, NULL, 5, 3, plain, NULL), 0);
    expected_sample(2, 0, 0, false, again);
    assert_memory_equal(plain, again, sizeof(plain));
}

/* What a resumed run asks for later is what this one asks for now: no state between calls. */
static void test_resumable(void **state)
{
    (void)state;
    enum { STEPS = 40 };
    static float straight[STEPS][FLOATS], input[FLOATS];
    for (uint32_t step = 0; step < STEPS; step++) {
        assert_int_equal(
            batch_sample(set, step % 4, &normal, &both, 11, step / 4, straight[step], NULL), 0);
    }
    for (uint32_t step = STEPS; step-- > 0;) {
        assert_int_equal(batch_sample(set, step % 4, &normal, &both, 11, step / 4, input, NULL), 0);
        assert_memory_equal(input, straight[step], sizeof(input));
    }
    int same = 0; /* another seed or epoch is another view, nearly always */
    for (uint32_t step = 0; step < STEPS; step++) {
        assert_int_equal(batch_sample(set, step % 4, &normal, &both, 12, step / 4, input, NULL), 0);
        same += memcmp(input, straight[step], sizeof(input)) == 0;
        assert_int_equal(
            batch_sample(set, step % 4, &normal, &both, 11, step / 4 + 100, input, NULL), 0);
        same += memcmp(input, straight[step], sizeof(input)) == 0;
    }
    assert_true(same < 5);
}

/* Every image has one place in one share; an image and its mirror are in the same one. */
static void test_shares(void **state)
{
    (void)state;
    enum { MAX = 64 };
    for (size_t shares = 1; shares <= 5; shares++) {
        for (size_t size = 1; size <= MAX / shares; size++) {
            const size_t n = shares * size;
            size_t share_of[MAX], place_in[MAX], found[MAX] = {0};
            for (size_t share = 0; share < shares; share++) {
                for (size_t i = 0; i < size; i++) {
                    const size_t at = batch_share(n, shares, share, i);
                    assert_true(at < n);
                    found[at]++;
                    share_of[at] = share;
                    place_in[at] = i;
                }
            }
            for (size_t at = 0; at < n; at++) {
                assert_int_equal(found[at], 1);
                if (size % 2 == 1) continue;
                assert_int_equal(share_of[n - 1 - at], share_of[at]);
                assert_int_equal(place_in[n - 1 - at], size - 1 - place_in[at]);
            }
        }
    }
    for (size_t i = 0; i < MAX; i++) assert_int_equal(batch_share(MAX, 1, 0, i), i);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),     cmocka_unit_test(test_order_uniform),
        cmocka_unit_test(test_sample),    cmocka_unit_test(test_shares),
        cmocka_unit_test(test_resumable),
    };
    return cmocka_run_group_tests(tests, open_set, close_set);
}
