/* What a loaded model knows of itself, as the texts that its file has. They are made anew from what
 * was read, not kept: only an export asks for them. */
#include "config.h"

#include <errno.h>

#include "metadata.h"
#include "model/model.h"
#include "model/spec_file.h"

const char *const model_text_keys[MODEL_TEXTS] = {
    METADATA_SPEC, METADATA_LABELS, METADATA_PREPROCESS, METADATA_CALIBRATION, METADATA_TRAINING};

int model_text(const struct model *model, enum model_text which, char **ret_text, struct err *e)
{
    const int sections = net_sections(model->net);
    int status = -ENOMEM;
    char *text = NULL;
    switch (which) {
    case MODEL_TEXT_SPEC:
        text = spec_format(net_spec(model->net));
        break;
    case MODEL_TEXT_LABELS:
        text = metadata_format_labels(model->labels, net_classes(model->net), &status);
        break;
    case MODEL_TEXT_PREPROCESS:
        text = metadata_format_preprocess(&model->preprocess, &status);
        break;
    case MODEL_TEXT_CALIBRATION:
        if (model->calibration.present)
            text = metadata_format_calibration(&model->calibration, sections,
                                               model->training.untrained, &status);
        else
            status = 0;
        break;
    case MODEL_TEXT_TRAINING:
        text = metadata_format_training(&model->training, sections, &status);
        break;
    case MODEL_TEXTS:
        break;
    }
    if (text == NULL && status < 0)
        return err_set(e, status, "%s: %s", model_text_keys[which], err_text(status));
    *ret_text = text;
    return 0;
}
