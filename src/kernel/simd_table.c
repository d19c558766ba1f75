/* The table of an instruction set. The plain matrix product is OpenBLAS's, which has kernels for
 * far more processors than we could write; everything else is ours, because a batch is NHWC and
 * small. */
#include "simd.h"

#include <cblas.h>

#include "tables.h"

static void gemm(bool transpose_a, bool transpose_b, int m, int n, int k, const float *a, int lda,
                 const float *b, int ldb, float beta, float *c, int ldc)
{
    cblas_sgemm(CblasRowMajor, transpose_a ? CblasTrans : CblasNoTrans,
                transpose_b ? CblasTrans : CblasNoTrans, m, n, k, 1.0F, a, lda, b, ldb, beta, c,
                ldc);
}

static size_t conv_scratch_bytes(const struct conv_geometry *g)
{
    return ISA(conv_any_scratch)(g) * sizeof(float);
}

static bool takes_all(const struct conv_geometry *g)
{
    (void)g;
    return true;
}

const struct kernels ISA(kernels) = {
    .isa = ISA_CODE,
    .methods =
        {
            [CONV_DIRECT] = {takes_all, CONV_DIRECT, ISA(conv_any_packed_size), ISA(conv_any_pack),
                             conv_scratch_bytes, ISA(conv_any_forward)},
            [CONV_WINOGRAD] = {ISA(winograd_takes), CONV_WINOGRAD, ISA(winograd_packed_size),
                               ISA(winograd_pack), ISA(winograd_scratch_bytes),
                               ISA(winograd_forward)},
            [CONV_WINOGRAD_LEAN] = {ISA(winograd_lean_takes), CONV_DIRECT,
                                    ISA(conv_any_packed_size), ISA(conv_any_pack),
                                    ISA(winograd_lean_scratch_bytes), ISA(winograd_lean_forward)},
            [CONV_WINOGRAD_SMALL] = {ISA(winograd_takes), CONV_WINOGRAD_SMALL,
                                     ISA(winograd_small_packed_size), ISA(winograd_small_pack),
                                     ISA(winograd_small_scratch_bytes),
                                     ISA(winograd_small_forward)},
#if HAS_BF16
            [CONV_BF16] = {ISA(conv_pairs_takes), CONV_BF16, ISA(conv_pairs_packed_size),
                           ISA(conv_pairs_pack), ISA(conv_pairs_scratch_bytes),
                           ISA(conv_pairs_forward)},
#endif
        },
    .conv_packed_size = ISA(conv_any_packed_size),
    .conv_pack = ISA(conv_any_pack),
    .conv_packed_back_size = ISA(conv_any_packed_back_size),
    .conv_pack_back = ISA(conv_any_pack_back),
    .conv_scratch_bytes = conv_scratch_bytes,
    .conv_forward = ISA(conv_any_forward),
    .conv_backward_data = ISA(conv_any_backward_data),
    .conv_backward_weight = ISA(conv_any_backward_weight),
    .gemm = gemm,
    .norm_moments = ISA(norm_moments),
    .norm_apply = ISA(norm_apply),
    .norm_backward_sums = ISA(norm_backward_sums),
    .norm_backward_apply = ISA(norm_backward_apply),
    .relu = ISA(relu),
    .relu_backward = ISA(relu_backward),
    .add = ISA(add),
    .mean_pool = ISA(mean_pool),
    .mean_pool_backward = ISA(mean_pool_backward),
    .max_pool = ISA(max_pool),
    .max_pool_backward = ISA(max_pool_backward),
    .shortcut = ISA(shortcut),
    .shortcut_backward = ISA(shortcut_backward),
    .upsample = ISA(upsample),
    .upsample_backward = ISA(upsample_backward),
    .gate = ISA(gate),
    .gate_backward = ISA(gate_backward),
    .sgd_step = ISA(sgd_step),
};
