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

static bool takes_all(const struct conv_geometry *g)
{
    (void)g;
    return true;
}

const struct kernels
    ISA(kernels) =
        {
            .isa = ISA_CODE,
            .conv =
                {
                    [CONV_DIRECT] = {.forward = {takes_all, CONV_DIRECT, ISA(conv_any_packed_size),
                                                 ISA(conv_any_pack), ISA(conv_any_forward_scratch),
                                                 ISA(conv_any_forward)},
                                     .backward_data = {takes_all, CONV_DIRECT,
                                                       ISA(conv_any_packed_back_size),
                                                       ISA(conv_any_pack_back),
                                                       ISA(conv_any_backward_data_scratch),
                                                       ISA(conv_any_backward_data)},
                                     .backward_weight =
                                         {takes_all, ISA(conv_any_backward_weight_scratch),
                                          ISA(conv_any_backward_weight)}},
                    [CONV_WINOGRAD] =
                        {.forward = {ISA(winograd_takes), CONV_WINOGRAD, ISA(winograd_packed_size),
                                     ISA(winograd_pack), ISA(winograd_scratch_bytes),
                                     ISA(winograd_forward)},
                         .backward_data = {ISA(winograd_back_takes), CONV_WINOGRAD,
                                           ISA(winograd_back_packed_size),
                                           ISA(winograd_back_pack), ISA(winograd_back_scratch),
                                           ISA(winograd_backward_data)},
                         .backward_weight = {ISA(winograd_takes), ISA(winograd_weight_scratch),
                                             ISA(winograd_backward_weight)}},
                    [CONV_WINOGRAD_LEAN] =
                        {.forward =
                             {ISA(winograd_lean_takes), CONV_DIRECT, ISA(conv_any_packed_size),
                              ISA(conv_any_pack), ISA(winograd_lean_scratch_bytes),
                              ISA(winograd_lean_forward)},
                         .backward_data = {ISA(winograd_lean_back_takes),
                                           CONV_DIRECT, ISA(conv_any_packed_back_size),
                                           ISA(conv_any_pack_back), ISA(winograd_lean_back_scratch),
                                           ISA(winograd_lean_backward_data)}},
                    [CONV_WINOGRAD_SMALL] =
                        {
                            .forward = {ISA(winograd_takes), CONV_WINOGRAD_SMALL,
                                        ISA(winograd_small_packed_size), ISA(winograd_small_pack),
                                        ISA(winograd_small_scratch_bytes),
                                        ISA(winograd_small_forward)}},
#if HAS_BF16
                    [CONV_BF16] = {.forward = {.takes = ISA(pairs_takes),
                                               .packing = CONV_BF16,
                                               .packed_size = ISA(pairs_size),
                                               .pack = ISA(pairs_pack),
                                               .scratch_bytes = ISA(pairs_scratch),
                                               .run = ISA(pairs_forward)},
                                   .backward_data = {.takes = ISA(pairs_takes),
                                                     .packing = CONV_BF16,
                                                     .packed_size = ISA(pairs_back_size),
                                                     .pack = ISA(pairs_back_pack),
                                                     .scratch_bytes = ISA(pairs_back_scratch),
                                                     .run = ISA(pairs_back)},
                                   .backward_weight = {.takes = ISA(pairs_takes),
                                                       .scratch_bytes = ISA(pairs_weight_scratch),
                                                       .run = ISA(pairs_weight)}},
#endif
                },
            .norm = {ISA(norm_moments), ISA(norm_forward), ISA(norm_backward_sums),
                     ISA(norm_backward)},
            .relu = {ISA(relu), ISA(relu_backward)},
            .mean = {ISA(mean_pool), ISA(mean_pool_backward)},
            .max_pool = {ISA(max_pool), ISA(max_pool_backward)},
            .shortcut = {ISA(shortcut), ISA(shortcut_backward)},
            .upsample = {ISA(upsample), ISA(upsample_backward)},
            .gate = {ISA(gate), ISA(gate_backward)},
            .gemm = gemm,
            .add = ISA(add),
            .sgd_step = ISA(sgd_step),
            .adamw_step = ISA(adamw_step),
};
