/* Where the log's lines go: stderr or a file, through a bounded queue and a thread of its own, so
 * that nobody who logs waits for a full pipe, a terminal that was stopped or a slow disk. What
 * finds no room is counted and said in the log when there is room again; the last quarter of the
 * queue is for warnings and errors. Before log_sink_start() and in a forked child a line is written
 * at once by who logs it.
 *
 * One of it in a process. All functions but log_sink_write() and log_sink_lost() are for the main
 * thread. */
#ifndef BASE_LOG_SINK_H
#define BASE_LOG_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/log.h"

/* From now on lines go to this file, which they are appended to and which is made (mode 0640, less
 * the umask) where it is not there; "": stderr, as at first. On failure they go where they went.
 * The path is kept. */
int log_sink_open(const char *path, struct err *e);

/* Opens the file's path anew, after somebody has moved the file away. */
int log_sink_reopen(struct err *e);

/* Starts the thread; -ENOMEM, -EAGAIN. */
int log_sink_start(struct err *e);

/* Waits until all that was logged so far is written, and at most so long. Whether it is. */
bool log_sink_flush(int64_t timeout_ns);

/* The same, and ends the thread; what is written by then is all. */
void log_sink_stop(int64_t timeout_ns);

/* Lines that were lost: there was no room, or writing them failed. Any thread. */
uint64_t log_sink_lost(void);

/* A crash (SIGSEGV, SIGABRT and the like, where nobody else handles them) gives the thread 200 ms
 * for what is queued. */
void log_sink_outlive_crashes(void);

/* For log.c: one line with its \n. Never fails, never waits once the thread runs. Any thread. */
void log_sink_write(enum log_level level, const char *line, size_t size);

/* Whether a file is written, and stderr is not. */
bool log_sink_has_file(void);

/* For log_setup(), which is called after this has changed: whether a terminal reads. */
bool log_sink_is_terminal(void);

#endif
