/* Every row of the operators has what its kind needs, and the operators that nets of every block
 * and head are made of have rows in the list. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../../src/nn/ops.h"
#include "nets.h"

#define OP_ADDRESS(name) &op_##name,

static const struct op_kind *const kinds[] = {OPS(OP_ADDRESS)};

enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

static void test_rows(void **state)
{
    (void)state;
    for (int i = 0; i < KINDS; i++) {
        const struct op_kind *k = kinds[i];
        assert_non_null(k->name);
        for (int j = 0; j < i; j++) assert_string_not_equal(k->name, kinds[j]->name);
        assert_non_null(k->shape);

        /* Factors are of an element-wise operation; what is folded elsewhere folds nothing in. */
        if (k->fuse.factors != NULL) assert_true(k->fuse.is_elementwise);
        if (k->fuse.is_elementwise) assert_true(k->fuse.takes_behind == NULL);
        if (k->fuse.takes_before != NULL) assert_non_null(k->fuse.takes_behind);

        assert_non_null(k->infer.run);
        assert_non_null(k->infer.describe);
        assert_int_equal(k->infer.choose != NULL, k->infer.pack != NULL);
        if (k->infer.chooses) assert_true(k->infer.choose != NULL && k->infer.may_cut != NULL);

        assert_non_null(k->train.phases[PHASE_FORWARD].run);
        assert_non_null(k->train.phases[PHASE_BACKWARD].run);
        assert_null(k->train.phases[PHASE_FORWARD].finish); /* sums are of other phases */
        assert_null(k->train.phases[PHASE_WEIGHTS].finish);
        for (int p = 0; p < OP_PHASES; p++)
            if (k->train.phases[p].finish != NULL) assert_non_null(k->train.phases[p].run);
        bool sums = k->train.phases[PHASE_STATISTICS].run != NULL;
        assert_int_equal(sums, k->train.phases[PHASE_BACK_SUMS].run != NULL);
        if (sums) {
            assert_non_null(k->train.phases[PHASE_STATISTICS].finish);
            assert_non_null(k->train.phases[PHASE_BACK_SUMS].finish);
            assert_non_null(k->train.size);
        }
        if (k->train.chooses) {
            for (int d = 0; d < CONV_DIRECTIONS; d++)
                assert_non_null(k->train.phases[k->train.phase_of[d]].run);
            assert_int_equal(k->train.phase_of[CONV_BACKWARD_WEIGHT], PHASE_WEIGHTS);
        }
        assert_int_equal(k->train.pack_forward != NULL, k->train.pack_backward != NULL);
        if (k->train.pack_forward != NULL) assert_non_null(k->train.size);
        for (int p = 0; p < OP_PHASES; p++) {
            unsigned needs = k->train.needs[p], all = NEEDS_IN | NEEDS_OUT | NEEDS_RESIDUAL;
            assert_int_equal(needs & ~(all | NEEDS_SUM), 0);
            if (needs != 0) assert_true(p > PHASE_FORWARD && k->train.phases[p].run != NULL);
        }
        if (k->train.phases[PHASE_REMAKE].run != NULL) {
            assert_ptr_equal(k->train.phases[PHASE_REMAKE].run, k->train.phases[PHASE_FORWARD].run);
            assert_int_equal(k->train.needs[PHASE_REMAKE], NEEDS_IN);
        }
    }
}

/* What operations of a net say by themselves. */
static void check_op(const struct net *net, const struct op *op, bool *used)
{
    int i = 0;
    while (i < KINDS && kinds[i] != op->kind) i++;
    assert_true(i < KINDS);
    used[i] = true;
    assert_string_equal(op_kind_name(op), op->kind->name);
    assert_int_equal(net->values[op->out].producer, op - net->ops);
    assert_true(op->in < op->out && op->residual < op->out);
    struct shape said = op->kind->shape(op, net->values[op->in].shape);
    struct shape is = net->values[op->out].shape;
    assert_memory_equal(&said, &is, sizeof(said));
    /* What multiplies has a weight, what is packed or summed has one, too. */
    if (op->kind->macs != NULL) assert_true(op->weight >= 0 && op->kind->macs(net, op) > 0);
    if (op->kind->infer.pack != NULL) assert_true(op->weight >= 0);
    if (op_has_phase(op, PHASE_STATISTICS)) assert_true(op->bias >= 0);
    for (int p = 0; p < OP_PHASES; p++)
        if (op->kind->train.needs[p] & NEEDS_RESIDUAL) assert_true(op->residual >= 0);
}

static void test_nets(void **state)
{
    (void)state;
    bool used[KINDS] = {false};
    for (int block = SPEC_BLOCK_BASIC; block <= SPEC_BLOCK_VGG; block++) {
        for (int head = SPEC_HEAD_SCALA; head <= SPEC_HEAD_SEPCONV_ATTENTION; head++) {
            struct spec spec = spec_tiny((enum spec_block)block, (enum spec_head)head);
            spec.stages[1].pool = block == SPEC_BLOCK_VGG ? 2 : 0;
            spec.classifier.n_hidden = block == SPEC_BLOCK_VGG;
            spec.classifier.hidden[0] = 5;
            struct err e = {0};
            struct net *net = net_new(&spec, &e);
            if (net == NULL) fail_msg("%s", e.text);
            for (int i = 0; i < net->n_ops; i++) check_op(net, &net->ops[i], used);
            net_free(net);
        }
    }
    for (int i = 0; i < KINDS; i++)
        if (!used[i]) fail_msg("no net has the operator %s", kinds[i]->name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_nets),
    };
    return cmocka_run_group_tests_name("op", tests, NULL, NULL);
}
