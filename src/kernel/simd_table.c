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
    size_t data = ISA(conv_data_scratch)(g), weight = ISA(conv_weight_scratch)(g);
    return (data > weight ? data : weight) * sizeof(float);
}

const struct kernels ISA(kernels) = {
    .isa = ISA_CODE,
    .conv_packed_size = ISA(conv_packed_size),
    .conv_pack = ISA(conv_pack),
    .conv_packed_back_size = ISA(conv_packed_back_size),
    .conv_pack_back = ISA(conv_pack_back),
    .conv_scratch_bytes = conv_scratch_bytes,
    .conv_forward = ISA(conv_forward),
    .conv_backward_data = ISA(conv_backward_data),
    .conv_backward_weight = ISA(conv_backward_weight),
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
    .sgd_step = ISA(sgd_step),
};
