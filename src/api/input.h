/* What a classification asks for, read into a task. Errors have problem_status()'s codes. */
#ifndef API_INPUT_H
#define API_INPUT_H

#include "task.h"

int input_headers(struct task *task, struct err *e);
int input_raw(struct task *task, const void *body, size_t size, struct err *e);
int input_json(struct task *task, const void *body, size_t size, struct err *e); /* any thread */
int input_form(struct task *task, const void *body, size_t size, struct err *e); /* any thread */

#endif
