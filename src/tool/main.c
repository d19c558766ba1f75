/* `autodidact`: the table of subcommands, and what they end with.
 *
 * Exit codes: 0 done, 1 failed, 2 bad usage. A failure is one line on stderr. A subcommand is a row
 * in the table and a function in a file of its own. */
#include "config.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/cpu.h"
#include "base/file.h"
#include "options.h"
#include "tool.h"

struct subcommand {
    const char *name;
    int (*execute)(int argc, char **argv, struct err *e);
    const char *summary;
};

static const struct subcommand subcommands[] = {
    {"train", tool_train, "train a network by self distillation, or without"},
    {"eval", tool_eval, "figures of every classifier of a model on a data set"},
    {"tune", tool_tune, "thresholds of early answers: for a loss, for a cost"},
    {"compare", tool_compare, "two models on the same images: who is better, and is it chance"},
    {"report", tool_report, "one page about models: curves, calibration, confusion, costs"},
    {"study", tool_study, "many trainings compared: methods, networks, widths, seeds"},
    {"describe", tool_describe, "size and cost of a network's sections and classifiers"},
    {"bench", tool_bench, "speed of inference or training on this machine"},
    {"import", tool_import, "a PyTorch checkpoint as a model"},
    {"export", tool_export, "a model as an ONNX file for other runtimes"},
    {"classify", tool_classify, "send images to a daemon"},
    {"jobs", tool_jobs, "training jobs of a daemon: submit, list, watch, log, cancel"},
};

enum {
    N_SUBCOMMANDS = sizeof(subcommands) / sizeof(subcommands[0]),
    EXIT_FAILED = 1,
    EXIT_USAGE = 2
};

static void print_help(FILE *out)
{
    fprintf(
        out,
        "Usage: autodidact SUBCOMMAND [ARGUMENT]...\n\n"
        "Networks that taught themselves: every section of the network has a classifier, and the\n"
        "deepest one taught the others.\n\n");
    for (size_t i = 0; i < N_SUBCOMMANDS; i++) {
        fprintf(out, "  %-10s %s\n", subcommands[i].name, subcommands[i].summary);
    }
    fprintf(out,
            "\n`autodidact SUBCOMMAND --help` tells more; `autodidact --version` what was built.\n"
            "Exit codes: 0 done, 1 failed, 2 bad usage.\n");
}

static int unknown_subcommand(const char *name)
{
    const char *names[N_SUBCOMMANDS];
    for (size_t i = 0; i < N_SUBCOMMANDS; i++) names[i] = subcommands[i].name;
    const char *near = options_nearest(name, names, N_SUBCOMMANDS);
    fprintf(stderr, "autodidact: unknown subcommand \"%s\"", name);
    if (near != NULL) fprintf(stderr, ": did you mean %s?", near);
    fprintf(stderr, " (autodidact --help lists them)\n");
    return EXIT_USAGE;
}

/* Executes a subcommand and says what went wrong, a full disk behind stdout included. */
static int execute(const struct subcommand *s, int argc, char **argv)
{
    struct err e = {0};
    int rc = cpu_check_isa(&e);
    if (rc == 0) rc = s->execute(argc, argv, &e);
    int failed = fflush(stdout) != 0 || ferror(stdout);
    if (rc >= 0 && failed) {
        fprintf(stderr, "autodidact %s: cannot write the output\n", s->name);
        return EXIT_FAILED;
    }
    if (rc >= 0) return 0;
    fprintf(stderr, "autodidact %s: %s\n", s->name, e.code != 0 ? e.text : err_text(rc));
    return rc == ERR_USAGE ? EXIT_USAGE : EXIT_FAILED;
}

int main(int argc, char **argv)
{
    if (file_open_standard() < 0) return EXIT_FAILED;
    cpu_prepare_blas(argv);
    signal(SIGXFSZ, SIG_IGN); /* a limit on file sizes is then an error of write(), not the end */

    if (argc < 2) {
        print_help(stderr);
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0) {
        print_help(stdout);
        return fflush(stdout) == 0 ? 0 : EXIT_FAILED;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("%s\n%s\n%s, %s kernels\n", PACKAGE_STRING, AD_BUILD_SUMMARY, cpu_model(),
               cpu_isa_name(cpu_isa()));
        return fflush(stdout) == 0 ? 0 : EXIT_FAILED;
    }
    for (size_t i = 0; i < N_SUBCOMMANDS; i++) {
        if (strcmp(argv[1], subcommands[i].name) == 0)
            return execute(&subcommands[i], argc - 1, argv + 1);
    }
    return unknown_subcommand(argv[1]);
}
