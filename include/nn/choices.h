/* Choices that were measured on this machine, and their file. A choice is the algorithm of one
 * convolution for one use and so many images at a time; plans and trainings take those that are
 * known and choose the others by rule. The file is text, a line a choice, under a line that names
 * processor and instruction set; one of another processor counts as empty. Not for several threads
 * at once. */
#ifndef NN_CHOICES_H
#define NN_CHOICES_H

#include "base/buf.h"
#include "base/pool.h"
#include "nn/choice.h"
#include "nn/plan.h"

struct choices;

struct choices *choices_new(const struct kernels *kernels); /* NULL: out of memory */
void choices_free(struct choices *choices);
size_t choices_count(const struct choices *choices);
const struct kernels *choices_kernels(const struct choices *choices);

/* The measured algorithm, or false. Its table has it and it takes the convolution. */
bool choices_find(const struct choices *choices, enum choice_use use, const struct conv_geometry *g,
                  enum precision precision, int index, enum conv_algorithm *ret);

/* Adds or replaces one. -ENOMEM. */
int choices_put(struct choices *choices, enum choice_use use, const struct conv_geometry *g,
                enum precision precision, int index, enum conv_algorithm a);

/* Adds what a file's text holds, nothing when it is another processor's. ERR_FORMAT names the line;
 * what stood before it counts. -ENOMEM. */
int choices_read(struct choices *choices, const char *text, size_t size, struct err *e);
int choices_write(const struct choices *choices, struct buf *out);

/* The same without the first line, for choices that a training keeps on whatever processor: what
 * the kernels here do not have is passed over. */
int choices_read_lines(struct choices *choices, const char *text, size_t size, struct err *e);
int choices_write_lines(const struct choices *choices, struct buf *out);

/* The same for a file; one that is missing is empty. Writing makes the directory. Errors name the
 * path. */
int choices_load(struct choices *choices, const char *path, struct err *e);
int choices_save(const struct choices *choices, const char *path, struct err *e);

/* Whether writing to the path loses nothing but choices, of whatever processor: ERR_FORMAT when the
 * file is something else. */
int choices_check_file(const char *path, struct err *e);

/* A direction of a convolution in training: so many images at a time by each thread, and how often
 * from one step of the optimizer to the next. */
struct choice_load {
    enum conv_direction direction;
    const struct conv_geometry *g;
    enum precision precision;
    int images, passes;
};

/* Measures it on all threads of the pool (NULL: one), unless it is known or there is no choice. 1
 * when it was added, 0, -ENOMEM. */
int choices_measure_training(struct choices *choices, const struct choice_load *load,
                             struct pool *pool);

/* Measures what a plan of these kernels could choose and nobody has measured yet, for batches up to
 * batch_max, for at most about budget_s seconds; what is then left goes by rule. Returns how many
 * were added, or -ENOMEM. */
int choices_measure(struct choices *choices, const struct plan *plan, enum precision precision,
                    int batch_max, double budget_s);

#endif
