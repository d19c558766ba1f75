/* The decoder: makes inputs of networks, in places (*seats*) of two kinds. In the foreground, work
 * that others wait behind; in the background, what takes long, at low priority, so that the system
 * gives it what the foreground leaves. A foreground seat never does background work, nor the other
 * way round. Jobs of a kind begin in the order in which they are submitted; whoever wants another
 * order submits no more at a time than there are seats, and the next one from `done`.
 *
 * Encoded images are decoded by *helpers*: processes in a sandbox, one a seat, that share nothing
 * with this one but the memory of the job (doc/sandbox.md). One that dies is replaced. */
#ifndef DECODE_DECODER_H
#define DECODE_DECODER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/metric.h"
#include "decode/work.h"

struct decoder;
struct seat;

struct decoder_options {
    unsigned foreground, background; /* seats, each at least 1 */
    int64_t time_max_ns;             /* that one job may take */
    bool sandbox;                    /* false: everything is done in this process */
    /* with a sandbox: */
    size_t input_max, output_max; /* bytes of an encoded image, and of what is made of it */
    size_t memory_max;            /* that decoding may take, as in struct image_limits */
    /* Gets a sentence for the log about helpers that were lost, once a second at most, on a thread
     * of the decoder; may be NULL. */
    void (*report)(void *arg, const char *message);
    void *report_arg;
};

/* The submitter's, with its buffers, until done. */
struct decode_job {
    /* set by the submitter */
    struct decode_work work;
    const void *input;                    /* [work.input_bytes] */
    float *output;                        /* [height][width][3] of work.preprocess */
    bool background;                      /* it will take long */
    int64_t deadline_ns;                  /* ends it, wherever it is; 0: none */
    uint64_t pixels;                      /* of the input, for metrics; 0: not known */
    void (*done)(struct decode_job *job); /* once, on a thread of the decoder; it does not touch the
                                             job afterwards */
    void *owner;                          /* the submitter's */

    /* set by the decoder before done */
    int status;       /* of decode_run(); ERR_DEADLINE, ERR_CANCELLED; ERR_FORMAT: a helper crashed
                         on it; ERR_BUSY: it took longer than time_max_ns, or somebody ended the
                         helper */
    struct err error; /* message for status */
    int64_t took_ns;  /* without waiting for a seat */
    int64_t cpu_ns;   /* of that, on a processor: what the work takes whatever runs beside it; 0:
                         not known */

    /* the decoder's; zero at first */
    struct decode_job *next;
    struct seat *seat; /* where it is done */
    bool in_place;     /* by decode_job_run() */
    atomic_bool cancelled;
    int64_t stop_ns; /* when time_max_ns is over */
};

/* With a sandbox it forks the process, which should have no other thread yet, nor open what helpers
 * may not have for a moment: they close it. metrics: NULL for none. Errors: -ENOMEM, what
 * pthread_create() and fork() say, with a message; what the sandbox lacks. */
int decoder_new(const struct decoder_options *options, struct metrics *metrics,
                struct decoder **ret_decoder, struct err *e);

/* Of the one kind or the other. Any thread. */
unsigned decoder_seats(const struct decoder *decoder, bool background);

/* Any thread, that which runs done included; never waits. */
void decoder_submit(struct decoder *decoder, struct decode_job *job);

/* The same on the calling thread, which waits for a seat; done is not called. */
void decode_job_run(struct decoder *decoder, struct decode_job *job);

/* Nobody wants the job any more: it ends soon, with ERR_CANCELLED unless it was through. Any
 * thread, also before it is submitted; the job must not have been handed back yet. Takes the
 * decoder's locks for a moment, so that a caller may hold one of its own that keeps `done` away. */
void decoder_cancel(struct decoder *decoder, struct decode_job *job);

/* One line about the posture that was reached, for the log; it lives as long as the decoder. */
const char *decoder_posture(const struct decoder *decoder);

/* false: all helpers of a kind are lost and cannot be replaced. Any thread. */
bool decoder_is_able(struct decoder *decoder);

/* Finishes what was submitted, joins the threads. Not on one of them. NULL is fine. */
void decoder_free(struct decoder *decoder);

#endif
