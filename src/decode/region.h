/* The memory that the daemon shares with one helper: a job, its input, its output, its outcome. The
 * daemon writes what stands above the input and the input; the helper the outcome and the output,
 * of which the daemon believes nothing that it has not copied and checked. Sparse: pages are there
 * once they are written. The size is sealed: a helper cannot take pages away under the daemon. */
#ifndef SRC_DECODE_REGION_H
#define SRC_DECODE_REGION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "decode/decoder.h"
#include "sandbox.h"

struct region_head {
    /* the daemon's */
    struct decode_work work;
    atomic_bool stop; /* nobody waits for it any more */

    /* the helper's */
    atomic_bool begun;              /* with the job; cleared by the daemon */
    struct sandbox_posture posture; /* once, when it is ready */
    int64_t took_ns, cpu_ns;        /* by the clock, and on a processor: what the job took */
    struct err outcome;             /* of the job; before it is ready: why it cannot be */
};

struct region {
    size_t input_max, output_max;
    size_t input_there;       /* bytes of the input whose pages are */
    struct region_head *head; /* NULL: not mapped */
    unsigned char *input;     /* [input_max] */
    float *output;            /* [output_max / 4] */
};

/* A descriptor with room for so many bytes of input and of output, which may be passed on. Errors:
 * what memfd_create() and ftruncate() say. */
int region_make(size_t input_max, size_t output_max, int *ret_fd, struct err *e);
int region_map(int fd, size_t input_max, size_t output_max, struct region *ret_region,
               struct err *e);
void region_unmap(struct region *region);

/* The daemon's, between two jobs: what the next one is. Its input must fit. -ENOMEM: the system has
 * no pages for it (where memory is not overcommitted; to write would be a SIGBUS). */
int region_put(struct region *region, const struct decode_job *job);

/* The daemon's, between two jobs: gives pages back that an input or an output of so many bytes
 * took, unless they are few. */
void region_trim(struct region *region, size_t input_bytes, size_t output_bytes);

/* What the helper says became of the job, as far as it makes sense: 0 and the output has been
 * copied to ret_output [floats], all finite; a code that decode_run() has, with a message that is
 * text; or ERR_CONFLICT: it says what no helper of ours would. */
int region_take(const struct region *region, float *ret_output, size_t floats, struct err *e);

#endif
