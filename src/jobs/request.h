/* What a job's body may say: every option of the recipe that a job has (recipe/option.h), and its
 * own members kind, spec, model and promote. */
#ifndef JOBS_REQUEST_H
#define JOBS_REQUEST_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "command.h"
#include "jobs/jobs.h"
#include "json/value.h"
#include "recipe/draft.h"

/* Checks a body: every member's name, type and range, that its method reads it, and that what is
 * needed is there. A member that is null is not there. Messages name the member. Pure. */
int request_check(const struct json *body, struct err *e);

/* What can be done but hardly be meant of the recipe of a body that was checked. */
size_t request_warnings(const struct json *body,
                        struct recipe_warning ret_warnings[RECIPE_WARNINGS_MAX]);

/* The name under which the result is published: "model", else the name of "init", else "spec". Into
 * an array of at least VERSION_MODEL_MAX + 1. The body has been checked. */
void request_model(const struct json *body, char *ret_name);

bool request_is_manual(const struct json *body);

/* "cifar100:DIR" with DIR resolved and found to lie below data_root (no ".." and no symbolic link
 * leads out of it). ERR_RANGE, ERR_NOT_FOUND, ERR_UNSUPPORTED (no data_root). Touches the file
 * system. */
int request_data(const struct json *body, const char *data_root, char *ret_source, size_t size,
                 struct err *e);

/* The file of "spec" in the directory of specs; "" when the body has none. ERR_NOT_FOUND. */
int request_spec(const struct json *body, const char *spec_directory, char *ret_path, size_t size,
                 struct err *e);

/* "init" and "teacher" are NAME (the version that serves) or NAME/VERSION: into ret_name
 * (VERSION_MODEL_MAX + 1) and ret_version (0: the one that serves). "" when the body has none. */
void request_version(const struct json *body, const char *member, char *ret_name,
                     int64_t *ret_version);

/* Adds the method and the options of `autodidact train` that the body gives ("a_b": X -> --a-b X),
 * apart from places. */
void request_add_options(const struct json *body, struct command *command);

#endif
