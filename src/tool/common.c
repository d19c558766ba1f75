/* What subcommands share: opening nets, the options that all have, printing JSON. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cpu.h"
#include "base/file.h"
#include "model/spec_file.h"
#include "tool.h"

enum { THREADS_MAX = 1024, OUTPUT_MAX = 64 << 20 };

/* A model file begins with the length of its header, 8 bytes, and then "{"; as such a length the
 * text of a spec would be far longer than the file. */
static int is_model(const char *path, bool *ret_is_model, struct err *e)
{
    unsigned char start[9];
    size_t n;
    int64_t size;
    int rc = file_read_start(path, sizeof(start), start, &n, &size, e);
    if (rc < 0) return rc;
    uint64_t length = 0;
    for (size_t i = 0; i < 8 && i < n; i++) length |= (uint64_t)start[i] << 8 * i;
    const char *dot = strrchr(path, '.');
    bool named =
        dot != NULL && strcmp(dot, ".safetensors") == 0; /* a broken one gets its own error */
    *ret_is_model =
        named || (n == sizeof(start) && length <= (uint64_t)size - 8 && start[8] == '{');
    return 0;
}

static int check_model(const struct model *model, int64_t width, int64_t classes, const char *heads,
                       struct err *e)
{
    const struct spec *spec = net_spec(model->net);
    enum spec_head kind;
    int rc = heads != NULL ? spec_head_parse(heads, &kind, e) : 0;
    if (rc < 0) return rc;
    if (heads != NULL && (spec->n_sections == 1 || kind != spec->heads.kind)) {
        return err_set(e, ERR_CONFLICT, "--heads %s: the model has %s and cannot change", heads,
                       spec->n_sections == 1 ? "no shallow classifier"
                                             : spec_head_name(spec->heads.kind));
    }
    if (width != 0 && width != spec->stages[0].channels) {
        return err_set(e, ERR_CONFLICT, "--width %lld: the model's width is %d and cannot change",
                       (long long)width, spec->stages[0].channels);
    }
    if (classes != 0 && classes != spec->classes) {
        return err_set(e, ERR_CONFLICT, "--classes %lld: the model has %d", (long long)classes,
                       spec->classes);
    }
    return 0;
}

static struct net *open_spec(const char *path, int width, int classes, const char *heads,
                             struct err *e)
{
    struct spec spec;
    enum spec_head kind;
    if (spec_read(path, &spec, e) < 0) return NULL;
    if (heads != NULL) {
        if (spec_head_parse(heads, &kind, e) < 0) return NULL;
        spec_set_heads(&spec, kind);
    }
    if (spec_scale(&spec, width, classes, e) < 0) {
        err_prefix(e, "%s", path);
        return NULL;
    }
    return net_new(&spec, e);
}

int tool_net_open(const char *path, int64_t width, int64_t classes, struct tool_net *ret_net,
                  struct err *e)
{
    return tool_net_open_heads(path, width, classes, NULL, ret_net, e);
}

int tool_net_open_heads(const char *path, int64_t width, int64_t classes, const char *heads,
                        struct tool_net *ret_net, struct err *e)
{
    struct tool_net n = {NULL, NULL};
    bool model;
    if (width < 0 || width > SPEC_CHANNELS_MAX) {
        return err_set(e, ERR_USAGE, "--width %lld: it takes 1 to %d", (long long)width,
                       SPEC_CHANNELS_MAX);
    }
    if (classes < 0 || classes > SPEC_CLASSES_MAX) {
        return err_set(e, ERR_USAGE, "--classes %lld: it takes 1 to %d", (long long)classes,
                       SPEC_CLASSES_MAX);
    }
    int rc = is_model(path, &model, e);
    if (rc < 0) return rc;
    if (model) {
        rc = model_load(path, &n.model, e);
        if (rc < 0) return rc;
        n.net = n.model->net;
        rc = check_model(n.model, width, classes, heads, e);
    } else {
        n.net = open_spec(path, (int)width, (int)classes, heads, e);
        if (n.net == NULL) rc = e->code;
    }
    if (rc == 0) {
        *ret_net = n;
    } else {
        tool_net_free(&n);
    }
    return rc;
}

void tool_net_free(struct tool_net *net)
{
    if (net->model != NULL) {
        model_free(net->model);
    } else {
        net_free(net->net);
    }
    *net = (struct tool_net){NULL, NULL};
}

int tool_threads(int64_t wish, unsigned *ret_threads, struct err *e)
{
    if (wish < 0 || wish > THREADS_MAX) {
        return err_set(e, ERR_USAGE, "--threads %lld: it takes 1 to %d, or 0 for all processors",
                       (long long)wish, THREADS_MAX);
    }
    *ret_threads = wish == 0 ? cpu_count() : (unsigned)wish;
    return 0;
}

int tool_check_output(const char *option, const char *out, const char *input, struct err *e)
{
    struct stat a, b;
    if (stat(out, &a) < 0 || stat(input, &b) < 0) return 0; /* who opens them says more */
    if (a.st_dev != b.st_dev || a.st_ino != b.st_ino) return 0;
    return err_set(e, ERR_USAGE, "--%s %s: that is the input %s, which would be overwritten",
                   option, out, input);
}

const struct json_limits tool_answer_limits = {64 << 20, 1 << 22};

struct json_writer *tool_json_begin(struct tool_json *json)
{
    buf_init(&json->text, OUTPUT_MAX);
    json_writer_init(&json->w, &json->text);
    json->w.spaced = true;
    json_write_open(&json->w, NULL, '{');
    return &json->w;
}

int tool_json_print(struct tool_json *json, struct err *e)
{
    json_write_close(&json->w, '}');
    int rc = json->w.status;
    if (rc == 0) {
        printf("%s\n", buf_text(&json->text));
        fflush(stdout);
    }
    buf_release(&json->text);
    return rc < 0 ? err_set(e, rc, "the output: %s", err_text(rc)) : 0;
}

static void tell_broken(void *arg, const char *text)
{
    (void)arg;
    fprintf(stderr, "broken image: %s\n", text);
}

struct dataset_options tool_dataset_options(uint64_t key_seed, int64_t broken_max)
{
    return (struct dataset_options){
        .key_seed = key_seed, .broken_max = (size_t)broken_max, .broken = tell_broken};
}
