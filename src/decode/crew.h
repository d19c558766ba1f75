/* The crew: the helpers as the daemon sees them, one a seat. A thread receives what the zygote
 * tells; whoever has a seat runs jobs in its helper. One that does not stop when it is told to, or
 * answers nonsense, is killed, and the zygote starts another one. */
#ifndef SRC_DECODE_CREW_H
#define SRC_DECODE_CREW_H

#include <stdbool.h>

#include "job.h"
#include "tally.h"
#include "zygote.h"

struct crew;

/* Forks the zygote and waits until all helpers are there, so that what cannot be had is known at
 * the start. Before the process has threads. report: gets a sentence for the log about each loss,
 * at most one a second; on a thread of the crew. */
int crew_new(const struct zygote_options *options, struct tally *tally,
             void (*report)(void *arg, const char *message), void *report_arg,
             struct crew **ret_crew, struct err *e);

/* Starts the thread that watches. Errors: what pthread_create() says. */
int crew_watch(struct crew *crew, struct err *e);

struct sandbox_posture crew_posture(const struct crew *crew);

/* Runs a job in a seat's helper, or in its next one when that had ended before. The seat is the
 * caller's. job->cpu_ns becomes what it took there. Errors: as decode_run(), what job_interrupted()
 * says, and ERR_FORMAT: the helper crashed on it; ERR_BUSY: it was killed or stopped by somebody
 * else; ERR_CONFLICT: there is no helper for the seat any more and will be none, nothing was done.
 */
int crew_run(struct crew *crew, unsigned seat, struct decode_job *job, struct err *e);

/* Makes crew_run() in that seat look again whether its job is to end. Any thread. */
void crew_nudge(struct crew *crew, unsigned seat);

/* Ends helpers and zygote. No seat is in use. NULL is fine. */
void crew_free(struct crew *crew);

#endif
