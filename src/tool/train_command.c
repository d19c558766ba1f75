/* The command line of `autodidact train`: the options of the recipe, by sections, and those that
 * are the tool's own. */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "options.h"
#include "tool.h"
#include "train.h"

enum { ROWS_MAX = 96, CACHE_MB_MAX = 1 << 30, LOADERS_MAX = 1024 };

/* Rows with the texts that they need. */
struct rows {
    struct option_row rows[ROWS_MAX + 1];
    struct option_reader reader;
    size_t n;
    char helps[ROWS_MAX][RECIPE_HELP_MAX];
};

static int read_option(void *arg, const char *name, const char *text, struct err *e)
{
    return recipe_give(arg, recipe_option_find(name), text, e) < 0 ? ERR_USAGE : 0;
}

static void add_section(struct rows *r, const char *heading, enum recipe_section section)
{
    r->rows[r->n++] = (struct option_row){.help = heading};
    for (size_t i = 0; recipe_option_at(i) != NULL && r->n < ROWS_MAX; i++) {
        const struct recipe_option *o = recipe_option_at(i);
        if (o->section != section) continue;
        recipe_option_help(o, r->helps[r->n]);
        r->rows[r->n] = (struct option_row){.name = o->name,
                                            .kind = OPTION_OTHER,
                                            .takes = o->takes,
                                            .value = &r->reader,
                                            .help = r->helps[r->n]};
        r->n++;
    }
}

static void add_rows(struct rows *r, const struct option_row *rows, size_t n)
{
    for (size_t i = 0; i < n && r->n < ROWS_MAX; i++) r->rows[r->n++] = rows[i];
}

static void make_rows(struct rows *r, struct train_command *c)
{
    const struct option_row network[] = {
        {"classes", OPTION_INT, "N", &c->classes, NULL,
         "classes; must be those of the data (they are the default)"},
        {"out", OPTION_STRING, "FILE", &c->out, NULL, "the model file, .safetensors (required)"},
    };
    const struct option_row session[] = {
        {"checkpoint-steps", OPTION_INT, "N", &c->checkpoint_steps, NULL,
         "a checkpoint every N steps, beside those at epochs' ends (0: every 45 s)"},
        {"resume", OPTION_FLAG, NULL, &c->resume, NULL,
         "go on from FILE.ckpt if there is one; options must be the same"},
        {"force", OPTION_FLAG, NULL, &c->force, NULL, "overwrite a model that is there"},
        {"keep-checkpoint", OPTION_FLAG, NULL, &c->keep_checkpoint, NULL,
         "leave FILE.ckpt (and FILE.best.ckpt) beside the model, to go on with more epochs"},
        {"log", OPTION_STRING, "DIR", &c->log, NULL,
         "write each epoch's figures there: DIR/NAME.csv and, for TensorBoard, DIR/NAME/, by the\n"
         "name of FILE"},
        {"dump-step", OPTION_STRING, "FILE", &c->dump_step, NULL,
         "write what the first step does (with --resume: the first one from there) as "
         "safetensors,\n"
         "to check it elsewhere"},
        {"algorithm", OPTION_STRING, "HOW", &c->algorithm, NULL,
         "how each convolution's is chosen: measured, and kept for this machine, or rule "
         "(measured)"},
        {"choices", OPTION_STRING, "FILE", &c->choices, NULL,
         "where what was measured is kept (~/.cache/autodidact/choices-..)"},
        {"cache-mb", OPTION_INT, "N", &c->cache_mb, NULL,
         "keep decoded images if all of them fit into N MiB, else decode them in each epoch\n"
         "(a quarter of the memory)"},
        {"loaders", OPTION_INT, "N", &c->loaders, NULL,
         "threads that read, decode and augment ahead (0: one a processor)"},
        {"progress", OPTION_STRING, "MODE", &c->progress, NULL,
         "bar, json or none (bar on a terminal, else a line an epoch)"},
    };
    r->n = 0;
    r->reader = (struct option_reader){read_option, &c->draft};
    add_section(r, "What is trained:", RECIPE_WHAT);
    add_rows(r, network, sizeof(network) / sizeof(network[0]));
    add_section(r, "How:", RECIPE_HOW);
    add_section(r, "Distillation, by the deepest classifier (byot), a teacher or a peer:",
                RECIPE_DISTILLATION);
    add_section(r, "Held-out images (never trained on; they calibrate and judge the model):",
                RECIPE_HOLDOUT);
    add_section(r, "The run:", RECIPE_RUN);
    add_rows(r, session, sizeof(session) / sizeof(session[0]));
    r->rows[r->n] = (struct option_row){.name = NULL};
}

/* What must be there, and what the recipe says of it all. */
static int check_command(const struct command_line *line, struct train_command *c,
                         enum progress_mode *ret_mode, struct err *e)
{
    const struct recipe_draft *d = &c->draft;
    if (c->spec == NULL && d->init == NULL)
        return err_set(e, ERR_USAGE, "which network? usage: %s %s", line->program, line->usage);
    const char *missing = d->data == NULL                 ? "data"
                          : !recipe_is_given(d, "method") ? "method"
                          : c->out == NULL                ? "out"
                                                          : NULL;
    if (missing != NULL) {
        return err_set(e, ERR_USAGE, "--%s is missing: usage: %s %s", missing, line->program,
                       line->usage);
    }
    if (recipe_finish(&c->draft, e) < 0) return ERR_USAGE;
    if (c->checkpoint_steps < 0) {
        return err_set(e, ERR_USAGE, "--checkpoint-steps %lld: it takes a whole number from 0",
                       (long long)c->checkpoint_steps);
    }
    c->by_rule = c->algorithm != NULL && strcmp(c->algorithm, "rule") == 0;
    if (c->algorithm != NULL && !c->by_rule && strcmp(c->algorithm, "measured") != 0)
        return err_set(e, ERR_USAGE, "--algorithm %s: it takes measured or rule", c->algorithm);
    if (c->cache_mb < -1 || c->cache_mb > CACHE_MB_MAX) {
        return err_set(e, ERR_USAGE, "--cache-mb %lld: it takes a whole number from 0 to %d",
                       (long long)c->cache_mb, CACHE_MB_MAX);
    }
    if (c->loaders < 0 || c->loaders > LOADERS_MAX) {
        return err_set(e, ERR_USAGE, "--loaders %lld: it takes a whole number from 0 to %d",
                       (long long)c->loaders, LOADERS_MAX);
    }
    return progress_mode_parse(c->progress, ret_mode, e);
}

int train_command_parse(int argc, char **argv, struct train_command *c,
                        enum progress_mode *ret_mode, struct err *e)
{
    struct rows rows;
    *c = (struct train_command){.cache_mb = -1};
    recipe_draft_init(&c->draft, RECIPE_COMMAND_LINE);
    make_rows(&rows, c);
    const struct command_line line = {
        "autodidact train",
        "SPEC.json --data KIND:DIR --method NAME --out FILE [OPTION]...",
        "Trains the network of SPEC.json and writes one self-contained model file. With\n"
        "--init the spec may be left out. While it runs, FILE.ckpt holds a checkpoint;\n"
        "SIGTERM and Ctrl-C write one and stop with exit code 1. --progress json prints JSON\n"
        "Lines with the events start, step (about once a second), epoch and done; accuracies\n"
        "are of the held-out images.",
        rows.rows,
        0,
        1};
    const char *positional[POSITIONAL_MAX];
    int rc = options_parse(&line, argc, argv, positional, e);
    if (rc != 0) return rc;
    c->spec = positional[0];
    return check_command(&line, c, ret_mode, e);
}
