/* Kernels: arithmetic on raw arrays. One table of functions per instruction set; the reference
 * table is plain C written from the definition, the others must agree with it. Kernels never fail,
 * never allocate and never start threads: scratch is passed in, every size is handled, parallelism
 * is the caller's (by image or by row). Activations are NHWC fp32, index order
 * [image][row][column][channel]; weights come in the file's order OIHW and are packed into a
 * table's private layout before use. All functions: any thread, no aliasing of inputs and outputs
 * unless stated. */
#ifndef KERNEL_KERNEL_H
#define KERNEL_KERNEL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/cpu.h"

/* One convolution: same padding and stride in both directions. The channels of in- and output may
 * be cut into groups of equal size, of which output group i sees input group i only; as many groups
 * as in- and output channels make a depthwise convolution. */
struct conv_geometry {
    int height, width, in_channels; /* of the input */
    int out_channels;
    int kernel_height, kernel_width;
    int stride, pad;
    int groups; /* 0 is taken for 1 */
};

static inline int conv_groups(const struct conv_geometry *g)
{
    return g->groups > 1 ? g->groups : 1;
}

/* Floats of w [o][i of its group][kh][kw]. */
static inline size_t conv_weight_size(const struct conv_geometry *g)
{
    return (size_t)g->out_channels * (size_t)(g->in_channels / conv_groups(g)) *
           (size_t)g->kernel_height * (size_t)g->kernel_width;
}

static inline int conv_out_height(const struct conv_geometry *g)
{
    return (g->height + 2 * g->pad - g->kernel_height) / g->stride + 1;
}

static inline int conv_out_width(const struct conv_geometry *g)
{
    return (g->width + 2 * g->pad - g->kernel_width) / g->stride + 1;
}

/* What is done to each output before it is stored: y = act(conv + bias + residual). */
struct conv_epilogue {
    const float *bias;     /* [out_channels], or NULL */
    const float *residual; /* as the output, which it may be; or NULL */
    bool relu;
};

/* One of `count` parts of a call's work, for as many threads, each with scratch of its own; all
 * parts together write y once, the same bits however it is cut. Some may be empty. */
struct conv_part {
    int index, count;
};

static const struct conv_part conv_whole = {0, 1};

/* A window that slides over a map, the same way in both directions; pad < kernel, and taps outside
 * the map do not count. */
struct pool_geometry {
    int height, width, channels; /* of the input */
    int kernel, stride, pad;
};

static inline int pool_out_size(int size, const struct pool_geometry *g)
{
    return (size + 2 * g->pad - g->kernel) / g->stride + 1;
}

/* The mean over cells of side x side pixels (those at the lower and right border may be smaller),
 * followed by channels of zeros. */
struct cell_geometry {
    int height, width, in_channels; /* of the input */
    int out_channels;               /* >= in_channels */
    int side;
};

static inline int cell_out_size(int size, const struct cell_geometry *g)
{
    return (size - 1) / g->side + 1;
}

/* How a convolution may be computed. Each algorithm gives an image the same bits in every batch;
 * between them the last bits differ. */
enum conv_algorithm {
    CONV_DIRECT,         /* every product of the definition; all directions, every convolution */
    CONV_WINOGRAD,       /* F(4x4, 3x3), from transformed weights, four times as large */
    CONV_WINOGRAD_LEAN,  /* F(4x4, 3x3), the weights of CONV_DIRECT transformed at each call */
    CONV_WINOGRAD_SMALL, /* F(2x2, 3x3), from transformed weights, 16/9 times as large */
    CONV_BF16, /* the products of CONV_DIRECT, of factors rounded to bfloat16; fp32 sums */
    CONV_ALGORITHMS
};

enum conv_direction { CONV_FORWARD, CONV_BACKWARD_DATA, CONV_BACKWARD_WEIGHT, CONV_DIRECTIONS };

/* The three directions of a convolution by one algorithm. In each, takes() says whether it can
 * compute a convolution in that direction; NULL: the table does not have it there, and the other
 * members are NULL, too. Weights are w [o][i of its group][kh][kw] and packed once for many calls,
 * in floats; scratch is in bytes, aligned to 64, more than none, enough for any number of images,
 * and serves one thread. */
struct conv_forward {
    bool (*takes)(const struct conv_geometry *g);
    enum conv_algorithm packing; /* the algorithm whose packed weights it takes, mostly itself */
    size_t (*packed_size)(const struct conv_geometry *g);

    /* Output channel o is multiplied by scale[o] on the way (a folded batch norm); NULL: by 1. */
    void (*pack)(const struct conv_geometry *g, const float *w, const float *scale, float *packed);
    size_t (*scratch_bytes)(const struct conv_geometry *g);

    /* y [n][oh][ow][o] = epilogue(x [n][h][w][i] * w) for n images. */
    void (*run)(const struct conv_geometry *g, int n, const float *x, const float *packed,
                const struct conv_epilogue *epilogue, float *y, void *scratch,
                struct conv_part part);
};

struct conv_backward_data {
    bool (*takes)(const struct conv_geometry *g);
    enum conv_algorithm packing;
    size_t (*packed_size)(const struct conv_geometry *g);
    void (*pack)(const struct conv_geometry *g, const float *w, float *packed);
    size_t (*scratch_bytes)(const struct conv_geometry *g);

    /* dx [n][h][w][i] = or += (accumulate) the gradient for dy [n][oh][ow][o]. */
    void (*run)(const struct conv_geometry *g, int n, const float *dy, const float *packed,
                bool accumulate, float *dx, void *scratch);
};

struct conv_backward_weight {
    bool (*takes)(const struct conv_geometry *g);
    size_t (*scratch_bytes)(const struct conv_geometry *g);

    /* dw [o][i of its group][kh][kw] += the gradient summed over n images, in a fixed order. */
    void (*run)(const struct conv_geometry *g, int n, const float *x, const float *dy, float *dw,
                void *scratch);
};

struct conv_method {
    struct conv_forward forward;
    struct conv_backward_data backward_data;
    struct conv_backward_weight backward_weight;
};

/* The ReLU behind a norm lets through where y > 0, its output, or, y NULL, where x * scale[c] +
 * shift[c] > 0, which is the same when nothing was added; with scale NULL, too, there is no ReLU.
 */
struct norm_relu {
    const float *y, *scale, *shift;
};

/* SGD with momentum and weight decay, PyTorch's form: g = scale g + decay w; v = momentum v + g;
 * w -= rate v, with Nesterov's momentum (Sutskever et al. 2013, equations 3 and 4, in the form that
 * has the gradient where the parameters are) w -= rate (g + momentum v). */
struct sgd {
    float rate, momentum, decay;
    float scale; /* of the gradient */
    bool nesterov;
};

/* Adam with decoupled weight decay (Loshchilov and Hutter 2019, algorithm 2; PyTorch's form, whose
 * decay is multiplied with the rate): g = scale g; w -= rate decay w; m = beta1 m + (1 - beta1) g;
 * v = beta2 v + (1 - beta2) g^2; w -= rate / correct1 * m / (sqrt(v / correct2) + epsilon). Of step
 * t from 1, correct1 = 1 - beta1^t and correct2 = 1 - beta2^t. */
struct adamw {
    float rate, decay, beta1, beta2, epsilon, correct1, correct2;
    float scale; /* of the gradient */
};

/* The kernels of one instruction set: a row for each operator, its directions side by side. Where a
 * backward says "= or +=", accumulate chooses. */
struct kernels {
    enum cpu_isa isa;

    struct conv_method conv[CONV_ALGORITHMS];

    /* Batch norm over rows x channels (Ioffe and Szegedy 2015). */
    struct {
        /* sum[c] += sum over rows of x, square[c] += of x^2; doubles, in a fixed order. */
        void (*moments)(size_t rows, size_t channels, const float *x, double *sum, double *square);

        /* y = act(x * scale[c] + shift[c] + residual); residual may be NULL; y may be x or
         * residual. */
        void (*forward)(size_t rows, size_t channels, const float *x, const float *scale,
                        const float *shift, const float *residual, bool relu, float *y);

        /* dy becomes dz, what passes the ReLU behind the norm; sum_dz[c] += sum of dz, sum_dzx[c]
         * += sum of dz * x. */
        void (*backward_sums)(size_t rows, size_t channels, const struct norm_relu *relu, float *dy,
                              const float *x, double *sum_dz, double *sum_dzx);

        /* dx = dz * a[c] + x * b[c] + k[c]; if dresidual is given, it is = or += dz. dx may be
         * dz. */
        void (*backward)(size_t rows, size_t channels, const float *dz, const float *x,
                         const float *a, const float *b, const float *k, float *dx,
                         float *dresidual, bool accumulate);
    } norm;

    /* y = max(x, 0), y may be x; dx = or += dy where y > 0. */
    struct {
        void (*forward)(size_t count, const float *x, float *y);
        void (*backward)(size_t count, const float *dy, const float *y, bool accumulate, float *dx);
    } relu;

    /* y [n][c] = mean over the pixels of x [n][pixels][c]; dx = or += dy / pixels. */
    struct {
        void (*forward)(int n, int pixels, int channels, const float *x, float *y);
        void (*backward)(int n, int pixels, int channels, const float *dy, bool accumulate,
                         float *dx);
    } mean;

    /* y [n][oh][ow][c] = the largest of a window. dx = or += dy where the window's first largest
     * stands, in the order of rows; y as forward() left it. */
    struct {
        void (*forward)(const struct pool_geometry *g, int n, const float *x, float *y);
        void (*backward)(const struct pool_geometry *g, int n, const float *x, const float *y,
                         const float *dy, bool accumulate, float *dx);
    } max_pool;

    /* A shortcut without parameters: y [n][oh][ow][out_channels] of x [n][h][w][in_channels];
     * dx = or += its gradient. */
    struct {
        void (*forward)(const struct cell_geometry *g, int n, const float *x, float *y);
        void (*backward)(const struct cell_geometry *g, int n, const float *dy, bool accumulate,
                         float *dx);
    } shortcut;

    /* y [n][2h][2w][c]: x [n][h][w][c] twice as large, bilinear between the centres of pixels
     * (PyTorch's align_corners=False). dx = or += its gradient. */
    struct {
        void (*forward)(int n, int height, int width, int channels, const float *x, float *y);
        void (*backward)(int n, int height, int width, int channels, const float *dy,
                         bool accumulate, float *dx);
    } upsample;

    /* y = sigmoid(z) * x. dz = or += dy * x * s * (1 - s), dx = or += dy * s with s = sigmoid(z).
     */
    struct {
        void (*forward)(size_t count, const float *z, const float *x, float *y);
        void (*backward)(size_t count, const float *z, const float *x, const float *dy,
                         bool accumulate_z, float *dz, bool accumulate_x, float *dx);
    } gate;

    /* Matrix product, row-major: c [m][n] = beta * c + op(a) [m][k] * op(b) [k][n]. */
    void (*gemm)(bool transpose_a, bool transpose_b, int m, int n, int k, const float *a, int lda,
                 const float *b, int ldb, float beta, float *c, int ldc);

    /* y += x */
    void (*add)(size_t count, const float *x, float *y);

    /* One step of an optimizer on count parameters w, from their gradient g; the rest is its state.
     */
    void (*sgd_step)(size_t count, const struct sgd *s, const float *g, float *v, float *w);
    void (*adamw_step)(size_t count, const struct adamw *a, const float *g, float *m, float *v,
                       float *w);
};

/* "direct" and so on: how people and files name an algorithm. */
const char *conv_algorithm_name(enum conv_algorithm a);

/* Whether a table has an algorithm that takes this convolution in a direction. */
static inline bool conv_takes(const struct kernels *k, enum conv_direction d, enum conv_algorithm a,
                              const struct conv_geometry *g)
{
    const struct conv_method *m = &k->conv[a];
    bool (*const takes[CONV_DIRECTIONS])(const struct conv_geometry *) = {
        m->forward.takes, m->backward_data.takes, m->backward_weight.takes};
    return takes[d] != NULL && takes[d](g);
}

/* The table of an instruction set, NULL when it was not built for this architecture or the
 * processor lacks it. kernels_best() is that of cpu_isa(). Static storage. */
const struct kernels *kernels_of(enum cpu_isa isa);
const struct kernels *kernels_best(void);

#endif
