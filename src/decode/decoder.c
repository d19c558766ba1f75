/* See decoder.h. For each seat there is a thread, which takes a job from the list of its kind, then
 * a seat for it; a caller of decode_job_run() takes a seat, too, so that at most one thread a seat
 * is at work. A job is its submitter's memory linked up, so that submitting cannot fail; nothing is
 * held while decoding or calling back. */
#include "config.h"

#include "decode/decoder.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/slice.h"
#include "crew.h"
#include "job.h"
#include "tally.h"

enum {
    BACKGROUND_NICENESS = 10, /* added to the daemon's own, as helpers have it */
    POSTURE_MAX = 200,
};

struct seat {
    unsigned number;
    struct seat *next; /* in the list of free ones */
    struct arena *scratch;
};

/* All of one kind: foreground or background. */
struct room {
    struct decoder *decoder;
    bool background;
    pthread_cond_t jobs, free; /* something to take: for the threads; for who has a job */
    struct decode_job *first, **last;
    struct seat *seats; /* that are free */
    unsigned n_seats;   /* free or not, but for those that lost their helper for good */
    unsigned n_threads; /* started */
    pthread_t *threads;
};

enum { FOREGROUND, BACKGROUND, ROOMS };

struct decoder {
    struct decoder_options options;
    struct tally tally;
    struct crew *crew; /* NULL: without a sandbox */
    char posture[POSTURE_MAX];
    pthread_mutex_t lock; /* lists and closing */
    struct room rooms[ROOMS];
    bool closing;
    struct seat all[]; /* [foreground + background] */
};

static bool wants_to_stop(void *arg)
{
    return job_interrupted(arg, clock_now()) != 0;
}

/* In this process: what is asked for, and what is no encoded image and so no danger. */
static int run_here(struct seat *seat, struct decode_job *job)
{
    const struct decode_stop stop = {wants_to_stop, job};
    int64_t cpu_start = clock_cpu();
    int rc = decode_run(&job->work, job->input, job->output, &seat->scratch, &stop, &job->error);
    job->cpu_ns = clock_cpu() - cpu_start;
    int why = rc == ERR_CANCELLED ? job_interrupted(job, clock_now()) : 0;
    return why != 0 ? job_set_interrupted(why, &job->error) : rc;
}

/* ERR_CONFLICT: the seat has lost its helper for good. */
static int run_in(struct decoder *decoder, struct seat *seat, struct decode_job *job)
{
    int64_t start = clock_now();
    job->stop_ns = start + decoder->options.time_max_ns;
    int rc = job_interrupted(job, start);
    if (rc != 0) return job_set_interrupted(rc, &job->error);
    if (decoder->crew != NULL && job->work.kind == INPUT_ENCODED)
        rc = crew_run(decoder->crew, seat->number, job, &job->error);
    else
        rc = run_here(seat, job);
    job->took_ns = clock_now() - start;
    return rc;
}

/* Lock held, let go while waiting. 0, or why there will be none. */
static int take_seat(struct room *room, struct decode_job *job)
{
    pthread_mutex_t *lock = &room->decoder->lock;
    while (room->seats == NULL) {
        int why = job_interrupted(job, clock_now());
        if (why != 0) return job_set_interrupted(why, &job->error);
        if (room->n_seats == 0)
            return err_set(&job->error, ERR_BUSY, "no process that decodes images is left");
        struct timespec until = {.tv_sec = job_end_ns(job) / CLOCK_SECOND,
                                 .tv_nsec = job_end_ns(job) % CLOCK_SECOND};
        pthread_cond_timedwait(&room->free, lock, &until);
    }
    job->seat = room->seats;
    room->seats = job->seat->next;
    return 0;
}

/* Lock held. */
static void leave_seat(struct room *room, struct decode_job *job, bool usable)
{
    if (usable) {
        job->seat->next = room->seats;
        room->seats = job->seat;
        pthread_cond_signal(&room->free);
    } else if (--room->n_seats == 0) {
        pthread_cond_broadcast(&room->free);
    }
    job->seat = NULL;
}

/* Lock held, let go while decoding. */
static void run(struct room *room, struct decode_job *job)
{
    struct decoder *decoder = room->decoder;
    job->error.code = 0;
    job->took_ns = job->cpu_ns = 0;
    do {
        job->stop_ns = INT64_MAX;
        job->status = take_seat(room, job);
        if (job->status < 0) return;
        pthread_mutex_unlock(&decoder->lock);
        job->status = run_in(decoder, job->seat, job);
        pthread_mutex_lock(&decoder->lock);
        leave_seat(room, job, job->status != ERR_CONFLICT);
    } while (job->status == ERR_CONFLICT);
    tally_decoded(&decoder->tally, job);
}

static void *decoder_main(void *arg)
{
    struct room *room = arg;
    struct decoder *decoder = room->decoder;
    /* Who decodes for itself. Who waits for a helper takes locks that others wait for: a busy
     * machine would make these wait as long as it lets low priority wait. On Linux priorities are a
     * thread's. It may fail only for who asks for more. */
    if (room->background && decoder->crew == NULL)
        setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) + BACKGROUND_NICENESS);
    if (!room->background) slice_set(SLICE_SHORT_NS);
    pthread_mutex_lock(&decoder->lock);
    for (;;) {
        struct decode_job *job = room->first;
        if (job != NULL) {
            room->first = job->next;
            if (room->first == NULL) room->last = &room->first;
            run(room, job);
            pthread_mutex_unlock(&decoder->lock);
            job->done(job);
            pthread_mutex_lock(&decoder->lock);
        } else if (decoder->closing) {
            break;
        } else {
            pthread_cond_wait(&room->jobs, &decoder->lock);
        }
    }
    pthread_mutex_unlock(&decoder->lock);
    return NULL;
}

static int start_threads(struct room *room, unsigned n, struct err *e)
{
    room->threads = mem_new(n, sizeof(*room->threads));
    if (room->threads == NULL) return err_set(e, -ENOMEM, "out of memory for the decoder");
    int rc = 0;
    sigset_t all, before; /* signals are for the program's own threads */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (rc == 0 && room->n_threads < n) {
        rc = pthread_create(&room->threads[room->n_threads], NULL, decoder_main, room);
        if (rc == 0) room->n_threads++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc == 0 ? 0 : err_set(e, -rc, "cannot start the decoder's threads: %s", err_text(-rc));
}

static void room_init(struct decoder *decoder, struct room *room, bool background,
                      unsigned first_number, unsigned n)
{
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    room->decoder = decoder;
    room->background = background;
    room->last = &room->first;
    pthread_cond_init(&room->jobs, NULL);
    pthread_cond_init(&room->free, &monotonic);
    pthread_condattr_destroy(&monotonic);
    room->n_seats = n;
    for (unsigned i = first_number + n; i-- > first_number;) {
        decoder->all[i].number = i;
        decoder->all[i].next = room->seats;
        room->seats = &decoder->all[i];
    }
}

/* Helpers, and then the thread that watches them. */
static int enter_sandbox(struct decoder *decoder, struct err *e)
{
    const struct decoder_options *o = &decoder->options;
    const struct zygote_options options = {
        .foreground = o->foreground,
        .background = o->background,
        .helper = {o->input_max, o->output_max, o->memory_max},
    };
    int rc = crew_new(&options, &decoder->tally, o->report, o->report_arg, &decoder->crew, e);
    if (rc < 0) return rc;
    const struct sandbox_posture posture = crew_posture(decoder->crew);
    tally_posture(&decoder->tally, &posture);
    char landlock[32] = "no landlock", memory[64] = "no limit of memory";
    if (posture.landlock > 0) snprintf(landlock, sizeof(landlock), "landlock %d", posture.landlock);
    if (posture.memory_bytes > 0)
        snprintf(memory, sizeof(memory), "%zu MiB each", posture.memory_bytes >> 20);
    snprintf(decoder->posture, sizeof(decoder->posture),
             "images are decoded by %u helpers, and %u in the background: seccomp, %s, %s",
             o->foreground, o->background, landlock, memory);
    return crew_watch(decoder->crew, e);
}

int decoder_new(const struct decoder_options *options, struct metrics *metrics,
                struct decoder **ret_decoder, struct err *e)
{
    unsigned n = options->foreground + options->background;
    struct decoder *decoder = mem_new(1, sizeof(*decoder) + n * sizeof(struct seat));
    if (decoder == NULL) return err_set(e, -ENOMEM, "out of memory for the decoder");
    decoder->options = *options;
    tally_init(&decoder->tally, metrics);
    pthread_mutex_init(&decoder->lock, NULL);
    struct room *rooms = decoder->rooms;
    room_init(decoder, &rooms[FOREGROUND], false, 0, options->foreground);
    room_init(decoder, &rooms[BACKGROUND], true, options->foreground, options->background);
    int rc = options->sandbox ? enter_sandbox(decoder, e) : 0;
    if (!options->sandbox) {
        tally_posture(&decoder->tally, NULL);
        snprintf(decoder->posture, sizeof(decoder->posture),
                 "images are decoded in this process, without a sandbox");
    }
    if (rc == 0) rc = start_threads(&rooms[FOREGROUND], options->foreground, e);
    if (rc == 0) rc = start_threads(&rooms[BACKGROUND], options->background, e);
    if (rc < 0) {
        decoder_free(decoder);
        return rc;
    }
    *ret_decoder = decoder;
    return 0;
}

unsigned decoder_seats(const struct decoder *decoder, bool background)
{
    return background ? decoder->options.background : decoder->options.foreground;
}

static struct room *room_of(struct decoder *decoder, const struct decode_job *job)
{
    return &decoder->rooms[job->background ? BACKGROUND : FOREGROUND];
}

void decoder_submit(struct decoder *decoder, struct decode_job *job)
{
    struct room *room = room_of(decoder, job);
    job->next = NULL;
    pthread_mutex_lock(&decoder->lock);
    *room->last = job;
    room->last = &job->next;
    pthread_mutex_unlock(&decoder->lock);
    /* Woken with the lock held, it would sleep again at once. */
    pthread_cond_signal(&room->jobs);
}

void decode_job_run(struct decoder *decoder, struct decode_job *job)
{
    job->in_place = true;
    pthread_mutex_lock(&decoder->lock);
    run(room_of(decoder, job), job);
    pthread_mutex_unlock(&decoder->lock);
}

void decoder_cancel(struct decoder *decoder, struct decode_job *job)
{
    pthread_mutex_lock(&decoder->lock);
    atomic_store(&job->cancelled, true);
    struct seat *seat = job->seat;
    if (seat == NULL) pthread_cond_broadcast(&room_of(decoder, job)->free);
    pthread_mutex_unlock(&decoder->lock);
    /* The job may be over by now, and another one there: that looks once more at the clock. */
    if (seat != NULL && decoder->crew != NULL) crew_nudge(decoder->crew, seat->number);
}

const char *decoder_posture(const struct decoder *decoder)
{
    return decoder->posture;
}

bool decoder_is_able(struct decoder *decoder)
{
    pthread_mutex_lock(&decoder->lock);
    bool able = true;
    for (int r = 0; r < ROOMS; r++) able &= decoder->rooms[r].n_seats > 0;
    pthread_mutex_unlock(&decoder->lock);
    return able;
}

void decoder_free(struct decoder *decoder)
{
    if (decoder == NULL) return;
    pthread_mutex_lock(&decoder->lock);
    decoder->closing = true;
    for (int r = 0; r < ROOMS; r++) pthread_cond_broadcast(&decoder->rooms[r].jobs);
    pthread_mutex_unlock(&decoder->lock);
    for (int r = 0; r < ROOMS; r++) {
        struct room *room = &decoder->rooms[r];
        for (unsigned i = 0; i < room->n_threads; i++) pthread_join(room->threads[i], NULL);
        mem_free(room->threads);
        pthread_cond_destroy(&room->jobs);
        pthread_cond_destroy(&room->free);
    }
    crew_free(decoder->crew);
    for (unsigned i = 0; i < decoder->options.foreground + decoder->options.background; i++)
        arena_free(decoder->all[i].scratch);
    pthread_mutex_destroy(&decoder->lock);
    mem_free(decoder);
}
