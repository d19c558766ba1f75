/* The store: one thread that owns the database and does everything slow with files, so that the
 * loop never waits for a disk. Work is handed to it as tasks, which run one after the other in the
 * order of posting; a task that must answer another thread does so as its last act (loop_post(),
 * uv_async).
 *
 * A task may take seconds (it loads a model, or waits until a version is warmed up). What only
 * looks something up has a second thread with a connection of its own, and waits for none of that.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include <stdbool.h>

#include "base/err.h"
#include "store/db.h"

struct store;

/* Work for the store thread, part of the caller's own structure, which must stay until run has
 * begun. The store does not touch the task after calling run, so run (or who it answers) may free
 * it. */
struct store_task {
    void (*run)(struct store_task *task, struct db *db);
    struct store_task *next; /* the store's while the task waits */
};

/* Opens DIRECTORY/autodidact.db (made when missing, migrated when old), locks DIRECTORY against a
 * second daemon (flock on DIRECTORY/lock) and starts the threads. A damaged database is set aside
 * and a new one begun. On a disk that takes nothing (full, read-only) what is there is opened for
 * reading, or empty tables in memory; then store_problem() says why, and every change fails with
 * -EROFS. Errors: ERR_CONFLICT when another daemon owns the directory, else what db_open() says. */
int store_open(const char *directory, struct store **ret_store, struct err *e);

/* Why the directory takes nothing; false: it does. Any thread. */
bool store_problem(struct store *store, struct err *ret_problem);

/* Inside a task of store_post(): tries again what store_open() could not. 0: the directory takes
 * changes, and *db is the connection to go on with. */
int store_repair(struct store *store, struct db **db);

/* Runs what has been posted, stops the threads, closes the database. NULL is fine. */
void store_close(struct store *store);

/* Any thread, the store's own included; never blocks for longer than a pointer's worth of work. */
void store_post(struct store *store, struct store_task *task);

/* The same on the reading thread: db sees what was committed before run begins, and writes nothing.
 * Ordered among themselves, not with what store_post() runs. */
void store_post_reading(struct store *store, struct store_task *task);

/* Runs fn(db, arg, e) on the store thread and waits for its result: for the start and the end of
 * the program and for tests; not from the loop, and not from the store thread itself. */
int store_call(struct store *store, int (*fn)(struct db *db, void *arg, struct err *e), void *arg,
               struct err *e);

#endif
