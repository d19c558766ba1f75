/* The decoder: makes inputs of networks on threads of its own, in the order in which jobs are
 * submitted. Whoever wants another order submits no more at a time than there are threads, and the
 * next one from `done`: the thread goes on with it at once. */
#ifndef DECODE_DECODER_H
#define DECODE_DECODER_H

#include <stdint.h>

#include "base/err.h"
#include "decode/work.h"

struct decoder;

/* The submitter's, with its buffers, until done. */
struct decode_job {
    /* set by the submitter */
    struct decode_work work;
    const void *input;                    /* [work.input_bytes] */
    float *output;                        /* [height][width][3] of work.preprocess */
    void (*done)(struct decode_job *job); /* once, on a thread of the decoder; it does not touch the
                                             job afterwards */
    void *owner;                          /* the submitter's */

    /* set by the decoder before done */
    int status;       /* of decode_run() */
    struct err error; /* message for status */
    int64_t took_ns;

    struct decode_job *next; /* the decoder's */
};

/* threads: at least 1. Errors: -ENOMEM, what pthread_create() says. */
int decoder_new(unsigned threads, struct decoder **ret_decoder, struct err *e);

/* Any thread, that which runs done included; never waits. */
void decoder_submit(struct decoder *decoder, struct decode_job *job);

/* The same work on the calling thread, done is not called; scratch as for decode_run(). */
void decode_job_run(struct decode_job *job, struct arena **scratch);

/* Finishes what was submitted, joins the threads. Not on one of them. NULL is fine. */
void decoder_free(struct decoder *decoder);

#endif
