/* `autodidact describe`: what a network is and costs, from a spec or a model.
 *
 * Counted as the literature does (doc/spec.md): multiply-accumulates of convolutions and linear
 * layers for one image; parameters without running statistics. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "nn/plan.h"
#include "options.h"
#include "recipe/draft.h"
#include "tool.h"

enum {
    PLAN_TEXT_MAX = 4 << 20,
    PLAN_BATCH = 64, /* images at most that algorithms are measured for */
};

struct command {
    const char *path, *heads;
    int64_t width, classes;
    bool plan, json;
    struct tool_plan how;
};

static int parse(int argc, char **argv, struct command *c, struct err *e)
{
    *c = (struct command){.how = TOOL_PLAN_DEFAULT};
    const struct option_row rows[] = {
        {"width", OPTION_INT, "W", &c->width, NULL,
         "channels of the first stage; all others scale (the spec's own)"},
        {"classes", OPTION_INT, "N", &c->classes, NULL, "classes (the spec's own)"},
        {"heads", OPTION_STRING, "KIND", &c->heads, NULL,
         "of the shallow classifiers: scala, scala+attention or sepconv+attention (the spec's "
         "own)"},
        {"plan", OPTION_FLAG, NULL, &c->plan, NULL,
         "also every operation of inference, with its algorithm"},
        {"precision", OPTION_STRING, "P", &c->how.precision, NULL, TOOL_PRECISION_HELP},
        {"algorithm", OPTION_STRING, "A", &c->how.algorithm, NULL, TOOL_ALGORITHM_HELP},
        {"json", OPTION_FLAG, NULL, &c->json, NULL, "as one JSON object"},
        {NULL, 0, NULL, NULL, NULL, NULL},
    };
    const struct command_line line = {
        "autodidact describe",
        "SPEC.json|MODEL [OPTION]...",
        "Prints parameters and multiply-accumulates (of one image) of the network with its\n"
        "deepest classifier, of each section of the trunk, of each classifier's head alone,\n"
        "and of everything (the ensemble).",
        rows,
        1,
        1};
    const char *positional[POSITIONAL_MAX];
    int rc = options_parse(&line, argc, argv, positional, e);
    if (rc != 0) return rc;
    c->path = positional[0];
    return tool_plan_parse(&c->how, e);
}

/* The plan's lines; of a spec with the parameters of seed 0, which change nothing in them. */
static int plan_lines(const struct tool_net *n, const struct tool_plan *how, struct buf *out,
                      struct err *e)
{
    float *own = NULL;
    if (n->model == NULL) {
        own = mem_new_aligned(net_block_size(n->net), sizeof(*own));
        if (own == NULL) return err_set(e, -ENOMEM, "out of memory for the parameters");
        net_init_params(n->net, 0, own);
    }
    struct plan *plan =
        tool_plan_new(n->net, own != NULL ? own : n->model->params, how, PLAN_BATCH, e);
    mem_free(own);
    if (plan == NULL) return e->code;
    int rc = plan_describe(plan, out);
    plan_free(plan);
    return rc;
}

static void write_cost(struct json_writer *w, struct net_cost cost)
{
    json_write_int(w, "params", cost.params);
    json_write_int(w, "macs", cost.macs);
}

static void write_shape(struct json_writer *w, const char *name, struct shape shape)
{
    json_write_open(w, name, '[');
    json_write_int(w, NULL, shape.channels);
    json_write_int(w, NULL, shape.height);
    json_write_int(w, NULL, shape.width);
    json_write_close(w, ']');
}

static void write_plan(struct json_writer *w, char *text)
{
    json_write_open(w, "plan", '[');
    for (char *save, *l = strtok_r(text, "\n", &save); l != NULL; l = strtok_r(NULL, "\n", &save)) {
        json_write_string(w, NULL, l);
    }
    json_write_close(w, ']');
}

static int print_json(const struct net *net, const struct model *model, char *plan, struct err *e)
{
    struct tool_json json;
    struct json_writer *w = tool_json_begin(&json);
    json_write_string(w, "name", net_spec(net)->name);
    json_write_int(w, "classes", net_classes(net));
    write_shape(w, "input", net_input(net));
    write_cost(w, net_deepest_cost(net));
    json_write_open(w, "sections", '[');
    for (int i = 0; i < net_sections(net); i++) {
        json_write_open(w, NULL, '{');
        write_cost(w, net_section_cost(net, i));
        write_shape(w, "output", net_section_output(net, i));
        json_write_close(w, '}');
    }
    json_write_close(w, ']');
    json_write_open(w, "exits", '[');
    for (int i = 0; i < net_sections(net); i++) {
        json_write_open(w, NULL, '{');
        json_write_string(w, "name", model_classifier_name(i));
        write_cost(w, net_exit_cost(net, i));
        if (model != NULL) json_write_bool(w, "learned", (model->training.untrained >> i & 1) == 0);
        json_write_close(w, '}');
    }
    json_write_close(w, ']');
    json_write_open(w, "ensemble", '{');
    write_cost(w, net_ensemble_cost(net));
    json_write_close(w, '}');
    if (model != NULL) {
        json_write_string(w, "stored", recipe_choice("store", (int)model->stored));
        json_write_int(w, "file_bytes", (int64_t)model->file_bytes);
    }
    if (plan != NULL) write_plan(w, plan);
    return tool_json_print(&json, e);
}

static void print_row(const char *what, int number, struct net_cost cost, const char *more)
{
    char name[32];
    snprintf(name, sizeof(name), number > 0 ? "%s %d" : "%s", what, number);
    printf("%-14s %12lld %14lld  %s\n", name, (long long)cost.params, (long long)cost.macs, more);
}

/* "not trained, and out of use: classifiers 1, 2, 3", or nothing. */
static void print_untrained(unsigned untrained)
{
    if (untrained == 0) return;
    printf("not trained, and out of use: classifiers");
    for (int i = 0, n = 0; i < SPEC_SECTIONS_MAX; i++) {
        if ((untrained >> i & 1) != 0)
            printf("%s %s", n++ > 0 ? "," : "", model_classifier_name(i));
    }
    printf("\n");
}

static void print_model(const struct model *m)
{
    const struct training *t = &m->training;
    printf("\n%zu bytes, numbers as %s\n", m->file_bytes, recipe_choice("store", (int)m->stored));
    if (strcmp(t->method, "import") == 0) {
        printf("imported from a checkpoint\n");
    } else if (t->method[0] != '\0') {
        printf("trained with %s on %s, %lld epochs, seed %llu, %lld images held out\n", t->method,
               t->data, (long long)t->recipe.epochs, (unsigned long long)t->recipe.seed,
               (long long)t->recipe.holdout.images);
    }
    if (t->command[0] != '\0') printf("  %s\n", t->command);
    print_untrained(t->untrained);
    if (!m->calibration.present) {
        printf("not calibrated\n");
        return;
    }
    printf("\n%-14s %8s %12s %10s  on %lld held-out images\n", "classifier", "top-1", "temperature",
           "threshold", (long long)m->calibration.n_images);
    for (int i = 0; i < net_sections(m->net); i++) {
        const struct calibration_entry *c = &m->calibration.exits[i];
        if ((t->untrained >> i & 1) != 0) continue;
        printf("%-14s %8.4f %12.4f", model_classifier_name(i), c->top1, c->temperature);
        if (m->calibration.has_thresholds) printf(" %10.4f", m->calibration.thresholds[i]);
        printf("\n");
    }
    printf("%-14s %8.4f %12.4f\n", "ensemble", m->calibration.ensemble.top1,
           m->calibration.ensemble.temperature);
    for (int i = 0; i < net_sections(m->net); i++) {
        const struct calibration_running *r = &m->calibration.running[i];
        if (!r->present) continue;
        printf("%-14s %8.4f %12.4f  weights", model_classifier_name(MODEL_RUNNING(i)),
               r->figures.top1, r->figures.temperature);
        for (int k = 0; k <= i; k++) printf(" %.3f", r->weights[k]);
        printf("\n");
    }
}

static void print_table(const struct tool_net *n, const char *plan)
{
    const struct net *net = n->net;
    struct shape in = net_input(net);
    printf("%s: %d classes, images of %dx%dx%d\n\n%-14s %12s %14s\n", net_spec(net)->name,
           net_classes(net), in.channels, in.height, in.width, "", "parameters", "MACs");
    print_row("network", 0, net_deepest_cost(net), "trunk and deepest classifier");
    for (int i = 0; i < net_sections(net); i++) {
        struct shape out = net_section_output(net, i);
        char text[64];
        snprintf(text, sizeof(text), "-> %dx%dx%d", out.channels, out.height, out.width);
        print_row("section", i + 1, net_section_cost(net, i), text);
    }
    for (int i = 0; i < net_sections(net); i++) {
        print_row("classifier", i + 1, net_exit_cost(net, i),
                  i + 1 == net_sections(net) ? "head alone (the deepest)" : "head alone");
    }
    print_row("ensemble", 0, net_ensemble_cost(net), "everything");
    if (n->model != NULL) print_model(n->model);
    if (plan != NULL) printf("\n%s", plan);
}

int tool_describe(int argc, char **argv, struct err *e)
{
    struct command c;
    struct tool_net n;
    struct buf plan;
    int rc = parse(argc, argv, &c, e);
    if (rc != 0) return rc;
    rc = tool_net_open_heads(c.path, c.width, c.classes, c.heads, &n, e);
    if (rc < 0) return rc;
    buf_init(&plan, PLAN_TEXT_MAX);
    if (c.plan) rc = plan_lines(&n, &c.how, &plan, e);
    char *text = c.plan && rc == 0 ? buf_take(&plan) : NULL;
    if (rc == 0 && c.json) rc = print_json(n.net, n.model, text, e);
    if (rc == 0 && !c.json) print_table(&n, text);
    mem_free(text);
    buf_release(&plan);
    tool_net_free(&n);
    return rc;
}
