/* Losses between maps: gradients by central differences, means over cells against their definition,
 * what attention does not see. PyTorch's vectors of them are in tests/train. */
#include "config.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "nn/loss_map.h"

enum { PIXELS = 6, CS = 3, CT = 5 };

static void fill(float *values, int n, uint32_t round)
{
    struct rng rng;
    rng_init(&rng, 11, RNG_TEST, round, 0);
    for (int i = 0; i < n; i++) values[i] = (float)rng_normal(&rng);
}

/* The gradient is added to what stands there. */
static void test_attention_gradient(void **state)
{
    (void)state;
    float student[PIXELS * CS], teacher[PIXELS * CT], gradient[PIXELS * CS], sink[PIXELS * CS];
    double scratch[2 * PIXELS];
    const float h = 1.0f / 256;
    for (uint32_t round = 0; round < 10; round++) {
        fill(student, PIXELS * CS, 2 * round);
        fill(teacher, PIXELS * CT, 2 * round + 1);
        for (int i = 0; i < PIXELS * CS; i++) gradient[i] = 3.0f;
        assert_true(loss_attention(PIXELS, CS, student, CT, teacher, 50.0, gradient, scratch) > 0);
        for (int i = 0; i < PIXELS * CS; i++) {
            float old = student[i];
            student[i] = old + h;
            double up = loss_attention(PIXELS, CS, student, CT, teacher, 50.0, sink, scratch);
            double step = (double)student[i];
            student[i] = old - h;
            double down = loss_attention(PIXELS, CS, student, CT, teacher, 50.0, sink, scratch);
            step -= (double)student[i];
            student[i] = old;
            assert_true(fabs((up - down) / step - ((double)gradient[i] - 3)) < 2e-4);
        }
    }
}

/* Neither signs nor the size of a map matter, nor how many channels make it. */
static void test_attention_of_equals(void **state)
{
    (void)state;
    float student[PIXELS * 2], teacher[PIXELS * 4], gradient[PIXELS * 2] = {0};
    double scratch[2 * PIXELS];
    fill(student, PIXELS * 2, 1);
    for (int p = 0; p < PIXELS; p++) {
        for (int c = 0; c < 2; c++) {
            teacher[4 * p + c] = 3 * student[2 * p + c];
            teacher[4 * p + 2 + c] = -3 * student[2 * p + c];
        }
    }
    assert_true(fabs(loss_attention(PIXELS, 2, student, 4, teacher, 1, gradient, scratch)) < 1e-12);
    for (int i = 0; i < PIXELS * 2; i++) assert_true(fabsf(gradient[i]) < 1e-6f);
}

/* Of nothing there is no direction: finite, and no gradient. What is not a number shows. */
static void test_attention_of_zeros(void **state)
{
    (void)state;
    float student[PIXELS * CS] = {0}, teacher[PIXELS * CT], gradient[PIXELS * CS] = {0};
    double scratch[2 * PIXELS];
    fill(teacher, PIXELS * CT, 5);
    double loss = loss_attention(PIXELS, CS, student, CT, teacher, 6.0, gradient, scratch);
    assert_true(fabs(loss - 1.0) < 1e-12); /* 6 * (length of the teacher's, 1) / pixels */
    for (int i = 0; i < PIXELS * CS; i++) assert_true(gradient[i] == 0.0f);
    student[4] = NAN;
    assert_true(isnan(loss_attention(PIXELS, CS, student, CT, teacher, 1, gradient, scratch)));
}

static const struct {
    struct shape in, to;
} sizes[] = {
    {{4, 4, 2}, {2, 2, 2}}, {{15, 19, 3}, {8, 10, 3}}, {{5, 7, 1}, {5, 7, 1}},
    {{7, 3, 2}, {1, 1, 2}}, {{8, 5, 2}, {3, 5, 2}},
};

static void test_map_mean(void **state)
{
    (void)state;
    for (size_t n = 0; n < sizeof(sizes) / sizeof(sizes[0]); n++) {
        struct shape in = sizes[n].in, to = sizes[n].to;
        float x[1000], y[1000];
        assert_true(shape_size(in) <= 1000);
        fill(x, (int)shape_size(in), (uint32_t)n);
        map_mean(in, x, to, y);
        for (int i = 0; i < to.height * to.width * to.channels; i++) {
            int c = i % to.channels, q = i / to.channels % to.width, r = i / to.channels / to.width;
            double sum = 0;
            int count = 0;
            for (int j = 0; j < in.height; j++) { /* a row counts where it overlaps the cell */
                if (!(j + 1 > (double)r * in.height / to.height &&
                      j < (double)(r + 1) * in.height / to.height))
                    continue;
                for (int k = 0; k < in.width; k++) {
                    if (!(k + 1 > (double)q * in.width / to.width &&
                          k < (double)(q + 1) * in.width / to.width))
                        continue;
                    sum += (double)x[(j * in.width + k) * in.channels + c];
                    count++;
                }
            }
            assert_true(fabs((double)y[i] - sum / count) < 1e-5);
        }
    }
}

/* Linear, so its way back is the transpose: <y(x), g> = <x, back(g)>; added to what is there. */
static void test_map_mean_backward(void **state)
{
    (void)state;
    for (size_t n = 0; n < sizeof(sizes) / sizeof(sizes[0]); n++) {
        struct shape in = sizes[n].in, to = sizes[n].to;
        float x[1000], y[1000], g[1000], dx[1000];
        double left = 0, right = 0;
        fill(x, (int)shape_size(in), (uint32_t)n);
        fill(g, (int)shape_size(to), (uint32_t)n + 50);
        for (int i = 0; i < 1000; i++) dx[i] = 1.0f;
        map_mean(in, x, to, y);
        map_mean_backward(in, g, to, dx);
        for (size_t i = 0; i < shape_size(to); i++) left += (double)y[i] * (double)g[i];
        for (size_t i = 0; i < shape_size(in); i++) right += (double)x[i] * ((double)dx[i] - 1);
        assert_true(fabs(left - right) < 1e-4);
        assert_true(dx[shape_size(in)] == 1.0f);
    }
}

static void test_meeting(void **state)
{
    (void)state;
    struct shape m = map_meeting((struct shape){8, 3, 5}, (struct shape){4, 6, 7});
    assert_true(m.height == 4 && m.width == 3 && m.channels == 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_attention_gradient), cmocka_unit_test(test_attention_of_equals),
        cmocka_unit_test(test_attention_of_zeros), cmocka_unit_test(test_map_mean),
        cmocka_unit_test(test_map_mean_backward),  cmocka_unit_test(test_meeting),
    };
    return cmocka_run_group_tests_name("loss_map", tests, NULL, NULL);
}
