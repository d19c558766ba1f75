/* The strings in a model file's __metadata__ <-> what they mean. All are JSON documents, but
 * for what decides who is held out. */
#ifndef SRC_MODEL_METADATA_H
#define SRC_MODEL_METADATA_H

#include "model/model.h"

#define METADATA_SPEC "autodidact.spec"
#define METADATA_LABELS "autodidact.labels"
#define METADATA_PREPROCESS "autodidact.preprocess"
#define METADATA_CALIBRATION "autodidact.calibration"
#define METADATA_TRAINING "autodidact.training"
#define METADATA_HOLDOUT "autodidact.holdout" /* holdout_border_format() */
#define METADATA_LINEAGE "autodidact.lineage" /* lineage_format() */

extern const char *const preprocess_resize_names[2];
extern const char *const preprocess_crop_names[2]; /* what each way of resizing implies */
extern const char *const preprocess_filter_names[1];

/* Why a label of so many bytes cannot stand in a file (whether it is UTF-8 is not looked at); NULL:
 * it can. */
const char *metadata_label_problem(const char *label, size_t length);

/* Text of the documents, for mem_free(); NULL when out of memory, too long, or not UTF-8
 * (*ret_status). Doubles must be finite. sections: exits that are written; of those that are
 * untrained (struct training) there is a null. */
char *metadata_format_labels(char *const *labels, int n, int *ret_status);
char *metadata_format_preprocess(const struct preprocess *p, int *ret_status);
char *metadata_format_calibration(const struct calibration *c, int sections, unsigned untrained,
                                  int *ret_status);
char *metadata_format_training(const struct training *t, int sections, int *ret_status);

/* The other way; messages begin with the key. Labels: n strings in one block, for mem_free(). */
int metadata_parse_labels(const char *text, int n, char ***ret_labels, struct err *e);
int metadata_parse_preprocess(const char *text, struct preprocess *ret, struct err *e);
int metadata_parse_calibration(const char *text, int sections, unsigned untrained,
                               struct calibration *ret, struct err *e);
int metadata_parse_training(const char *text, int sections, struct training *ret, struct err *e);

#endif
