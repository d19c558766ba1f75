/* Progress of a training: speed, remaining time, and the four ways of saying it.
 *
 * Speed is measured over windows of about a second and smoothed; the time of an evaluation between
 * two epochs is in no window. People's lines and the bar go to stderr, so that stdout holds JSON
 * Lines or nothing. */
#include "config.h"

#include "train_progress.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bar.h"
#include "base/clock.h"
#include "tool.h"

#define SMOOTHING 0.3 /* the weight of the newest window */
#define BAR_NS (CLOCK_SECOND / 5)

int progress_mode_parse(const char *text, enum progress_mode *ret_mode, struct err *e)
{
    if (text == NULL) {
        *ret_mode = isatty(STDERR_FILENO) ? PROGRESS_BAR : PROGRESS_LINES;
    } else if (strcmp(text, "bar") == 0) {
        *ret_mode = PROGRESS_BAR;
    } else if (strcmp(text, "json") == 0) {
        *ret_mode = PROGRESS_JSON;
    } else if (strcmp(text, "none") == 0) {
        *ret_mode = PROGRESS_NONE;
    } else {
        return err_set(e, ERR_USAGE, "--progress %s: it takes bar, json or none", text);
    }
    return 0;
}

static double eta_s(const struct progress *p, int64_t step)
{
    return p->img_per_s > 0 ? (double)(p->steps - step) * (double)p->batch / p->img_per_s : 0;
}

void progress_write_speed(const struct progress *p, const struct train_report *r, double loss,
                          struct json_writer *w)
{
    json_write_rounded(w, "loss", loss, TOOL_DIGITS);
    json_write_rounded(w, "lr", r->rate, TOOL_DIGITS);
    json_write_rounded(w, "img_per_s", p->img_per_s, TOOL_DIGITS);
    json_write_rounded(w, "eta_s", eta_s(p, r->step), TOOL_DIGITS);
}

static void print_time(double seconds)
{
    long s = (long)seconds;
    if (s >= 3600) {
        fprintf(stderr, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
    } else {
        fprintf(stderr, "%ld:%02ld", s / 60, s % 60);
    }
}

static void print_bar(const struct progress *p, const struct train_report *r)
{
    int64_t in_epoch = (r->step - 1) % p->epoch_steps + 1;
    fprintf(stderr, "\repoch %lld/%lld ", (long long)r->epoch, (long long)p->epochs);
    bar_print(in_epoch, p->epoch_steps);
    fprintf(stderr, " loss %.4f  lr %.4g  %.0f img/s  ETA ", r->mean_loss, r->rate, p->img_per_s);
    print_time(eta_s(p, r->step));
    fprintf(stderr, "\033[K");
    fflush(stderr);
}

static void print_accuracies(const struct heldout *h)
{
    if (h == NULL || h->n_exits == 0) return;
    fprintf(stderr, "  held-out top-1");
    for (int i = 0; i < h->n_exits; i++) {
        if ((h->untrained >> i & 1) != 0)
            fprintf(stderr, " -");
        else
            fprintf(stderr, " %.4f", h->exits[i].top1);
    }
    fprintf(stderr, " ensemble %.4f", h->ensemble.top1);
}

static void measure(struct progress *p, int64_t step, int64_t now, int64_t least_ns)
{
    int64_t ns = now - p->window_ns, steps = step - p->window_step;
    if (ns < least_ns || steps == 0 || ns == 0) return;
    double speed = (double)(steps * p->batch) / ((double)ns / (double)CLOCK_SECOND);
    p->img_per_s = p->img_per_s > 0 ? (1 - SMOOTHING) * p->img_per_s + SMOOTHING * speed : speed;
    p->window_ns = now;
    p->window_step = step;
}

void progress_start(struct progress *p, int64_t step)
{
    int64_t now = clock_now();
    p->window_ns = p->said_ns = now;
    p->window_step = step;
    p->last =
        (struct train_report){.epoch = step / p->epoch_steps + (step < p->steps), .step = step};
    if (p->mode == PROGRESS_JSON) progress_print_event(p, EVENT_START, &p->last, NULL, NULL);
}

void progress_step(struct progress *p, const struct train_report *report)
{
    int64_t now = clock_now();
    p->last = *report;
    measure(p, report->step, now, CLOCK_SECOND);
    if (p->mode == PROGRESS_BAR && now - p->said_ns >= BAR_NS) {
        print_bar(p, report);
        p->said_ns = now;
    }
    if (p->mode == PROGRESS_JSON && now - p->said_ns >= CLOCK_SECOND) {
        progress_print_event(p, EVENT_STEP, report, NULL, NULL);
        p->said_ns = now;
    }
    if (report->epoch_end) measure(p, report->step, now, 0);
}

void progress_epoch(struct progress *p, const struct train_report *report, const struct heldout *h)
{
    p->last = *report;
    if (p->mode == PROGRESS_JSON) progress_print_event(p, EVENT_EPOCH, report, h, NULL);
    if (p->mode == PROGRESS_BAR || p->mode == PROGRESS_LINES) {
        progress_clear(p);
        fprintf(stderr, "epoch %lld/%lld  loss %.4f  lr %.4g  %.0f img/s", (long long)report->epoch,
                (long long)p->epochs, report->mean_loss, report->rate, p->img_per_s);
        print_accuracies(h);
        fprintf(stderr, "\n");
    }
    p->window_ns = p->said_ns = clock_now();
    p->window_step = report->step;
}

void progress_done(struct progress *p, const char *path, const struct heldout *h)
{
    if (p->mode == PROGRESS_JSON) progress_print_event(p, EVENT_DONE, &p->last, h, path);
    if (p->mode == PROGRESS_BAR || p->mode == PROGRESS_LINES) {
        progress_clear(p);
        fprintf(stderr, "wrote %s", path);
        print_accuracies(h);
        fprintf(stderr, "\n");
    }
}

void progress_note(const struct progress *p, const char *text)
{
    if (p->mode != PROGRESS_BAR) return;
    fprintf(stderr, "\r%.100s ...\033[K", text);
    fflush(stderr);
}

void progress_clear(const struct progress *p)
{
    if (p->mode == PROGRESS_BAR) fprintf(stderr, "\r\033[K");
}
