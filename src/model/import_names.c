/* Others' names -> ours. torchvision's are ours, so there are only rules for what the usual
 * collections of CIFAR networks call differently; they are few enough to be tried one after the
 * other, and only on names that the net does not have. doc/interchange.md lists them. */
#include "config.h"

#include "import_names.h"

#include <stdio.h>
#include <string.h>

/* What holds a network: data parallel training, torch.compile(), averages of weights, and the
 * members of those who train it. No tensor of ours begins so. */
static const char *const wrappers[] = {"module.",  "_orig_mod.", "model.",  "net.",
                                       "network.", "backbone.",  "encoder."};

enum where { AT_START, ANYWHERE };

struct rule {
    enum where where;
    const char *theirs, *ours;
};

static const struct rule rules[] = {
    {AT_START, "linear.", "fc."},
    {AT_START, "classifier.weight", "fc.weight"},
    {AT_START, "classifier.bias", "fc.bias"},
    {ANYWHERE, ".shortcut.", ".downsample."},
    /* WideResNets: block1.layer.0.conv1, convShortcut, and bn1 for the trunk's last norm. */
    {AT_START, "block1.layer.", "layer1."},
    {AT_START, "block2.layer.", "layer2."},
    {AT_START, "block3.layer.", "layer3."},
    {ANYWHERE, ".convShortcut.", ".downsample.0."},
    {AT_START, "bn1.", "bn_final."},
    /* ResNets of sequences: conv1 has stem and norm, blocks their residual_function. After the rule
     * before, which would take what these make. */
    {AT_START, "conv1.0.", "conv1."},
    {AT_START, "conv1.1.", "bn1."},
    {AT_START, "conv2_x.", "layer1."},
    {AT_START, "conv3_x.", "layer2."},
    {AT_START, "conv4_x.", "layer3."},
    {AT_START, "conv5_x.", "layer4."},
    {ANYWHERE, ".residual_function.0.", ".conv1."},
    {ANYWHERE, ".residual_function.1.", ".bn1."},
    {ANYWHERE, ".residual_function.3.", ".conv2."},
    {ANYWHERE, ".residual_function.4.", ".bn2."},
    {ANYWHERE, ".residual_function.6.", ".conv3."},
    {ANYWHERE, ".residual_function.7.", ".bn3."},
    /* The last linear layer, of VGGs with one dropout less than torchvision's, and of those that
     * have a head. */
    {AT_START, "classifier.5.", "classifier.6."},
    {AT_START, "head.fc.", "fc."},
    {AT_START, "head.", "fc."},
};

static bool starts_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

const char *import_strip(const char *name)
{
    const size_t n = sizeof(wrappers) / sizeof(wrappers[0]);
    for (size_t i = 0; i < n; i++) {
        if (!starts_with(name, wrappers[i])) continue;
        name += strlen(wrappers[i]);
        i = (size_t)-1; /* from the first again: they may be nested */
    }
    return name;
}

bool import_alias(const char *name, char ret_name[IMPORT_NAME_MAX])
{
    char before[IMPORT_NAME_MAX];
    bool changed = false;
    if (strlen(name) >= IMPORT_NAME_MAX) return false;
    snprintf(ret_name, IMPORT_NAME_MAX, "%s", name);
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        const struct rule *r = &rules[i];
        memcpy(before, ret_name, sizeof(before));
        const char *at = strstr(before, r->theirs);
        if (at == NULL || (r->where == AT_START && at != before)) continue;
        int n = snprintf(ret_name, IMPORT_NAME_MAX, "%.*s%s%s", (int)(at - before), before, r->ours,
                         at + strlen(r->theirs));
        if (n < 0 || n >= IMPORT_NAME_MAX) return false;
        changed = true;
    }
    return changed;
}

bool import_is_counter(const char *name)
{
    static const char counter[] = "num_batches_tracked";
    size_t n = strlen(name), k = sizeof(counter) - 1;
    if (strcmp(name, "n_averaged") == 0) return true;
    return n >= k && strcmp(name + n - k, counter) == 0 && (n == k || name[n - k - 1] == '.');
}
