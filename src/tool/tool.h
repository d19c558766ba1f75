/* The subcommands of `autodidact`, and what they share. Each is a function with main()'s arguments,
 * argv[0] being the subcommand's name; it returns 0 or a negative code with the message in *e, and
 * prints nothing but its result (stdout) and its progress (stderr). main() prints errors and turns
 * codes into exit codes. A new subcommand is a function here and a row in main.c. */
#ifndef TOOL_TOOL_H
#define TOOL_TOOL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/pool.h"
#include "data/dataset.h"
#include "json/write.h"
#include "model/model.h"
#include "nn/choices.h"
#include "nn/net.h"
#include "nn/spec.h"

int tool_bench(int argc, char **argv, struct err *e);
int tool_classify(int argc, char **argv, struct err *e);
int tool_compare(int argc, char **argv, struct err *e);
int tool_describe(int argc, char **argv, struct err *e);
int tool_eval(int argc, char **argv, struct err *e);
int tool_export(int argc, char **argv, struct err *e);
int tool_import(int argc, char **argv, struct err *e);
int tool_jobs(int argc, char **argv, struct err *e);
int tool_report(int argc, char **argv, struct err *e);
int tool_study(int argc, char **argv, struct err *e);
int tool_train(int argc, char **argv, struct err *e);
int tool_tune(int argc, char **argv, struct err *e);

/* --- shared (common.c) ------------------------------------------------------------------------ */

/* A net from SPEC.json or MODEL, told apart by the file's content. For a spec ret_model is NULL and
 * width and classes (0: the spec's own) scale it; for a model both must be 0 or what it has. Free
 * the net with net_free() and the model with model_free() (the net is then the model's:
 * tool_net_free() does the right one). */
struct tool_net {
    struct net *net;
    struct model *model; /* NULL: from a spec */
};

int tool_net_open(const char *path, int64_t width, int64_t classes, struct tool_net *ret_net,
                  struct err *e);
/* The same with other heads (NULL: its own; of a model only its own): for --heads. */
int tool_net_open_heads(const char *path, int64_t width, int64_t classes, const char *heads,
                        struct tool_net *ret_net, struct err *e);
void tool_net_free(struct tool_net *net);

/* --threads: 0 is all processors. ERR_USAGE out of range. */
int tool_threads(int64_t wish, unsigned *ret_threads, struct err *e);

/* ERR_USAGE when --option's file is there already and is the input itself, under whatever name. */
int tool_check_output(const char *option, const char *out, const char *input, struct err *e);

/* One line of JSON, an object, to stdout: its members are written between the two, measured numbers
 * with so many digits. tool_json_print() prints it at once; the first failure is its result. */
struct tool_json {
    struct buf text;
    struct json_writer w;
};
enum { TOOL_DIGITS = 10 };
struct json_writer *tool_json_begin(struct tool_json *json);
int tool_json_print(struct tool_json *json, struct err *e);

/* Of a daemon's answer. */
extern const struct json_limits tool_answer_limits;

/* Options of dataset_open(): which broken images it names, it names on stderr. */
struct dataset_options tool_dataset_options(uint64_t key_seed, int64_t broken_max);

/* --- what a model has seen (seen.c) ------------------------------------------------------------
 */

/* The data set as one of a lineage, with a border (or, where that is not known, its seed and how
 * many are held out). lineage_set_release(). Errors as lineage_set_make()'s. */
int tool_data(const struct dataset *set, const struct holdout_border *border, int64_t images,
              struct lineage_set *ret, struct err *e);

/* Whether images of this data set may have trained what has seen that one: the two are alike, as a
 * folder is that has changed, or one of its images is known to have been seen. here: tool_data().
 */
bool tool_shares_data(const struct lineage_set *seen, const struct lineage_set *here,
                      const struct dataset *set);

/* The border of a set of a lineage; where there is none, what the number means in the data set.
 * ERR_CONFLICT when the data set has keys of another seed. holdout_border_release(). */
int tool_border_of(const struct lineage_set *seen, const struct dataset *set,
                   struct holdout_border *ret_border, struct err *e);

/* The border between what the model was trained on of the set and what it was not. ERR_NOT_FOUND
 * when it was trained on other data; else as tool_border_of(). */
int tool_border(const struct model *model, const struct dataset *set,
                struct holdout_border *ret_border, struct err *e);

/* The seed of the model's held-out images, which a set must be opened with to find them. */
uint64_t tool_border_seed(const struct model *model);

/* --- measured algorithms of this machine (choices.c) ------------------------------------------ */

enum { TOOL_CHOICES_PATH = 4096 };

struct tool_choices {
    struct choices *choices;
    bool kept, damaged; /* there is a place for them; what was there could not be read */
    size_t known;
    char path[TOOL_CHOICES_PATH];
    int lock;
};

/* Those known so far, without any where nothing can be kept; the caller's, to be freed after
 * tool_choices_close(). path: their file, or NULL for the user's own. NULL: out of memory. Other
 * programs wait until then. */
struct choices *tool_choices_open(struct tool_choices *kept, const char *path);

/* Writes down what has come to them. Fine after a failure. */
void tool_choices_close(struct tool_choices *kept);

/* --- how nets are computed (plan.c) ----------------------------------------------------------- */

/* --precision fp32, bf16 or auto, which becomes one of the others; --algorithm rule, measured or
 * the name of one. */
struct tool_plan {
    const char *precision, *algorithm; /* as given; TOOL_PLAN_DEFAULT */
    struct plan_options options;
    bool measured;
};

#define TOOL_PLAN_DEFAULT                                                                          \
    {                                                                                              \
        .precision = "fp32", .algorithm = "rule"                                                   \
    }
#define TOOL_PRECISION_HELP "fp32, bf16, or auto: bf16 where the processor has it (fp32)"
#define TOOL_ALGORITHM_HELP                                                                        \
    "of convolutions: rule, measured (kept in ~/.cache), or one by name (rule)"

/* Understands what was given. ERR_UNSUPPORTED for bf16 on a processor without it, ERR_USAGE. */
int tool_plan_parse(struct tool_plan *p, struct err *e);

/* A plan as was asked for, for batches of so many images; plan_free(). */
struct plan *tool_plan_new(const struct net *net, const float *params, const struct tool_plan *p,
                           int batch_max, struct err *e);

#endif
