/* When a job is to end early. */
#ifndef SRC_DECODE_JOB_H
#define SRC_DECODE_JOB_H

#include "decode/decoder.h"

/* Why it is to end now: ERR_CANCELLED, ERR_DEADLINE, ERR_BUSY for the time limit; 0: it is not. Any
 * thread that has the job. */
int job_interrupted(const struct decode_job *job, int64_t now_ns);

/* The earliest time at which it will be to end; INT64_MAX: none is known. */
int64_t job_end_ns(const struct decode_job *job);

/* Returns code, with its message in *e. */
int job_set_interrupted(int code, struct err *e);

#endif
