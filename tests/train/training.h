/* A small training for tests of the trainer: images made here, networks of two sections, and what
 * they all do with them. */
#ifndef TESTS_TRAIN_TRAINING_H
#define TESTS_TRAIN_TRAINING_H

#include "../../src/train/learner.h"
#include "train/trainer.h"

enum { IMAGES = 300, PIXELS = 32 * 32, CLASSES = 100 };

struct fixture {
    char dir[64], source[96], checkpoint[96];
    struct dataset *set;
    struct split split;
    struct preprocess preprocess;
    struct net *net, *peer; /* of another width */
    struct model *teacher;  /* of the peer's architecture */
    struct recipe recipe;
};

/* For cmocka: *state becomes a fixture, of byot, 3 epochs of 5 steps, 10 images dropped. */
int set_up(void **state);
int tear_down(void **state);

/* The method's defaults, with the length of the present one. */
void choose_method(struct fixture *f, const char *name);

/* With what the present method needs beside the data. */
struct trainer_setup setup_of(const struct fixture *f, struct pool *pool);
struct trainer *make(struct fixture *f, struct pool *pool);

/* Steps until so many are done; the last one's report. */
struct train_report run(struct trainer *t, int64_t until);
struct trainer_models models_of(struct trainer *t);

/* Trainings that are stopped and restored, every `stride` steps from the first one on, end in the
 * bits of one that was not. */
void check_resume(struct fixture *f, struct pool *pool, int64_t stride);

void open_learner(struct fixture *f, struct learner *l, const struct net *net, unsigned borders,
                  uint64_t seed);

/* The input of a step of an epoch, augmented as the recipe has it, and its labels, if they are
 * asked for. */
void draw_batch(struct fixture *f, int64_t epoch, int64_t step, float *input, int32_t *labels);

#endif
