/* Versions: adding, importing, activating, rolling back, starting again; every statement and every
 * allocation failing; what a crash leaves. */
#include "config.h"

#include "registry/registry.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "../place.h"
#include "../nn/tiny.h"
#include "base/mem.h"

struct fixture {
    struct place place;
    struct db *db;
    struct engine *engine; /* as long as the registry: a new process has a new one */
    struct registry *registry;
    char models[128], file[3][128]; /* three models of one name, with other weights */
};

static void write_model(const char *path, const char *name, uint64_t seed)
{
    struct net *net = tiny_net(8, 2);
    struct spec spec = *net_spec(net);
    struct err e = {0};
    net_free(net);
    snprintf(spec.name, sizeof(spec.name), "%s", name);
    net = net_new(&spec, &e);
    assert_non_null(net);
    float *params = mem_new_aligned(net_block_size(net), sizeof(*params));
    net_init_params(net, seed, params);
    char a[] = "cat", b[] = "dog", *labels[] = {a, b};
    const struct preprocess preprocess = {
        .width = 8, .height = 8, .mean = {0.5f, 0.5f, 0.5f}, .std = {0.25f, 0.25f, 0.25f}};
    const struct calibration calibration = {0};
    const struct training training = {0};
    if (model_write(path, TENSOR_F32, net, params, labels, &preprocess, &calibration, &training,
                    &e) < 0)
        fail_msg("%s", e.text);
    mem_free(params);
    net_free(net);
}

static void open_registry(struct fixture *f)
{
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s/a.db", f->place.root);
    assert_int_equal(db_open(path, &f->db, NULL), 0);
    struct engine_options options;
    engine_options_default(&options);
    options.workers = 1;
    options.batch_max = 1;
    f->engine = engine_new(&options, NULL, NULL);
    assert_non_null(f->engine);
    assert_int_equal(registry_new(f->models, MODEL_FILE_MAX, f->engine, &f->registry, NULL), 0);
}

static void close_registry(struct fixture *f)
{
    registry_free(f->registry);
    engine_free(f->engine);
    db_close(f->db);
}

static int set_up(void **state)
{
    struct fixture *f = mem_new(1, sizeof(*f));
    place_make(&f->place);
    snprintf(f->models, sizeof(f->models), "%s/models", f->place.root);
    for (int i = 0; i < 3; i++) {
        snprintf(f->file[i], sizeof(f->file[i]), "%s/file%d", f->place.root, i);
        write_model(f->file[i], "tiny", (uint64_t)i);
    }
    open_registry(f);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    close_registry(f);
    place_remove(&f->place);
    mem_free(f);
    return 0;
}

static char complaints[2048];

static void complain(void *arg, const char *message)
{
    (void)arg;
    size_t used = strlen(complaints);
    snprintf(complaints + used, sizeof(complaints) - used, "%s\n", message);
}

static int start(struct fixture *f, const char *import, struct err *e)
{
    return registry_start(f->registry, f->db, import, complain, NULL, e);
}

/* A restart: how many models serve. */
static int restart(struct fixture *f, const char *import)
{
    struct err e = {0};
    close_registry(f);
    complaints[0] = '\0';
    open_registry(f);
    int rc = start(f, import, &e);
    if (rc < 0) fail_msg("%s", e.text);
    return rc;
}

static int64_t add(struct fixture *f, const char *name, int i)
{
    struct err e = {0};
    int64_t version = 0;
    if (registry_add(f->registry, f->db, name, f->file[i], "job", "1", &version, &e) < 0)
        fail_msg("%s", e.text);
    return version;
}

/* Which version of it serves; 0: none. */
static int64_t serving(struct fixture *f, const char *name)
{
    struct version *version = engine_version(f->engine, name);
    int64_t number = 0;
    if (version != NULL) {
        number = version_number(version);
        if (name[0] != '\0') assert_string_equal(version_model(version)->name, name);
    }
    version_unref(version);
    return number;
}

static int64_t active(struct fixture *f, const char *name)
{
    struct version_row row;
    return version_table_active(f->db, name, &row, NULL) == 0 ? row.number : 0;
}

static const char *path_of(struct fixture *f, int64_t version)
{
    static char path[PATH_MAX];
    assert_int_equal(registry_path(f->registry, "tiny", version, path, sizeof(path)), 0);
    return path;
}

static void test_import(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(restart(f, f->file[0]), 1);
    assert_int_equal(serving(f, "tiny"), 1);
    assert_int_equal(add(f, "tiny", 1), 2);
    assert_int_equal(serving(f, "tiny"), 1);
    assert_int_equal(registry_activate(f->registry, f->db, "tiny", 2, NULL), 0);
    assert_int_equal(serving(f, "tiny"), 2);
    assert_int_equal(restart(f, f->file[0]), 1); /* a restart never undoes a retraining */
    assert_int_equal(serving(f, "tiny"), 2);
    assert_int_equal(restart(f, f->file[2]), 1); /* another file does */
    assert_int_equal(serving(f, "tiny"), 3);
    assert_int_equal(restart(f, f->file[0]), 1); /* the first again is not the one imported last */
    assert_int_equal(serving(f, "tiny"), 4);
    assert_int_equal(restart(f, NULL), 1);
    assert_int_equal(serving(f, "tiny"), 4);
    struct stat st;
    assert_int_equal(stat(path_of(f, 4), &st), 0);
}

static void test_import_refused(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    const struct file_piece piece = {"no model", 8};
    const char *path = place_path(&f->place, "broken");
    assert_int_equal(file_write_atomic(path, &piece, 1, NULL), 0);
    assert_true(start(f, path, &e) < 0);
    assert_non_null(strstr(e.text, path));
    assert_int_equal(start(f, "/nonesuch", &e), -ENOENT);
    write_model(path, "Not A Name", 1);
    assert_int_equal(start(f, path, &e), ERR_RANGE);
    assert_non_null(strstr(e.text, path));
    assert_non_null(strstr(e.text, "name"));
    assert_int_equal(restart(f, NULL), 0);
}

static void test_activate(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    int64_t version = 0;
    assert_int_equal(registry_rollback(f->registry, f->db, "tiny", &version, &e), ERR_NOT_FOUND);
    for (int i = 0; i < 3; i++) add(f, "tiny", i);
    for (int i = 1; i <= 3; i++)
        assert_int_equal(registry_activate(f->registry, f->db, "tiny", i, NULL), 0);
    struct version *before = engine_version(f->engine, "tiny");
    assert_int_equal(registry_activate(f->registry, f->db, "tiny", 3, NULL),
                     0); /* serves already */
    struct version *after = engine_version(f->engine, "tiny");
    assert_ptr_equal(before, after);
    version_unref(before);
    version_unref(after);
    assert_int_equal(registry_activate(f->registry, f->db, "tiny", 4, &e), ERR_NOT_FOUND);
    for (int64_t i = 2; i >= 1; i--) {
        assert_int_equal(registry_rollback(f->registry, f->db, "tiny", &version, NULL), 0);
        assert_int_equal(version, i);
        assert_int_equal(serving(f, "tiny"), i);
    }
    assert_int_equal(registry_rollback(f->registry, f->db, "tiny", &version, &e), ERR_CONFLICT);
    assert_int_equal(e.code, ERR_CONFLICT);
    assert_int_equal(restart(f, NULL), 1);
    assert_int_equal(serving(f, "tiny"), 1);
    assert_int_equal(add(f, "other-name", 0), 1); /* published under the name it was given */
    assert_int_equal(registry_activate(f->registry, f->db, "other-name", 1, NULL), 0);
    assert_int_equal(serving(f, "other-name"), 1);
    assert_int_equal(serving(f, ""), 1); /* the first one is the default: version 1 of tiny */
    assert_int_equal(restart(f, NULL), 2);
}

/* What cannot be put into service, since memory is short at any place, leaves everything as it
 * was. */
static void test_publish_fails(void **state)
{
    struct fixture *f = *state;
    int64_t version;
    int failed = 0;
    for (int i = 0; i < 2; i++) add(f, "tiny", i);
    assert_int_equal(registry_activate(f->registry, f->db, "tiny", 1, NULL), 0);
    for (unsigned n = 1; active(f, "tiny") == 1; n++) {
        struct err e = {0};
        assert_true(n < 2000);
        mem_fail_at(n);
        int rc = registry_activate(f->registry, f->db, "tiny", 2, &e);
        mem_fail_at(0);
        assert_int_equal(serving(f, "tiny"), active(f, "tiny"));
        assert_int_equal(rc == 0, active(f, "tiny") == 2);
        failed += strstr(e.text, "version 2 of model tiny cannot be put into service: ") != NULL;
    }
    print_message("# %d publications failed\n", failed);
    assert_true(failed > 5);
    mem_fail_at(3);
    assert_true(registry_rollback(f->registry, f->db, "tiny", &version, NULL) < 0);
    mem_fail_at(0);
    assert_int_equal(active(f, "tiny"), 2);
    assert_int_equal(serving(f, "tiny"), 2);
}

/* Whichever statement meets the full disk: what serves and what the database says are the same. */
static void test_database_fails(void **state)
{
    struct fixture *f = *state;
    int64_t version;
    for (int i = 0; i < 2; i++) add(f, "tiny", i);
    assert_int_equal(registry_activate(f->registry, f->db, "tiny", 1, NULL), 0);
    unsigned n = 1;
    for (; n < 50; n++) {
        db_fail_at(f->db, n);
        int rc = registry_activate(f->registry, f->db, "tiny", 2, NULL);
        db_fail_at(f->db, 0);
        assert_int_equal(serving(f, "tiny"), active(f, "tiny"));
        if (rc == 0) break;
        assert_int_equal(rc, -ENOSPC);
        assert_int_equal(active(f, "tiny"), 1);
    }
    assert_true(n > 3 && n < 50);
    for (n = 1; n < 50; n++) {
        db_fail_at(f->db, n);
        int rc = registry_rollback(f->registry, f->db, "tiny", &version, NULL);
        db_fail_at(f->db, 0);
        assert_int_equal(serving(f, "tiny"), active(f, "tiny"));
        if (rc == 0) break;
        assert_int_equal(active(f, "tiny"), 2);
    }
    assert_true(n > 1 && n < 50);
    /* An import is whole or not there: the next start makes it again. */
    assert_int_equal(start(f, NULL, NULL), 1);
    for (n = 3; n < 50; n++) { /* the first are of what comes before the import */
        db_fail_at(f->db, n);
        assert_int_equal(start(f, f->file[2], NULL), 1);
        db_fail_at(f->db, 0);
        if (active(f, "tiny") != 1) break;
        assert_false(registry_is_whole(f->registry));
    }
    assert_true(n > 5 && n < 50);
    assert_int_equal(start(f, f->file[2], NULL), 1);
    assert_true(registry_is_whole(f->registry));
    assert_int_equal(serving(f, "tiny"), active(f, "tiny"));
    assert_int_equal(restart(f, f->file[2]), 1);
    assert_true(serving(f, "tiny") >= 3);
    assert_int_equal(active(f, "tiny"), serving(f, "tiny"));
}

static void test_no_memory(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(restart(f, f->file[0]), 1);
    unsigned failed = 0;
    for (unsigned n = 1; n < 5000; n += n < 40 ? 1 : 7) {
        struct err e = {0};
        int64_t version = 0;
        mem_fail_at(n);
        int rc = registry_add(f->registry, f->db, "tiny", f->file[1], "job", "1", &version, &e);
        bool fired = mem_fail_left() == 0;
        mem_fail_at(0);
        if (!fired) break;
        if (rc == 0) continue; /* an allocation that was not needed */
        failed++;
        assert_int_equal(version, 0);
        assert_true(e.text[0] != '\0');
    }
    assert_true(failed > 5);
    assert_int_equal(restart(f, f->file[0]), 1);
    assert_int_equal(serving(f, "tiny"), 1);
}

static void test_damaged(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    int64_t version;
    for (int i = 0; i < 3; i++) {
        add(f, "tiny", i);
        assert_int_equal(registry_activate(f->registry, f->db, "tiny", i + 1, NULL), 0);
    }
    assert_int_equal(registry_rollback(f->registry, f->db, "tiny", &version, NULL), 0);
    /* Version 3 becomes another model. */
    char *bytes;
    size_t size;
    assert_int_equal(file_read(f->file[0], 1 << 20, &bytes, &size, NULL), 0);
    const struct file_piece piece = {bytes, size};
    assert_int_equal(file_write_atomic(path_of(f, 3), &piece, 1, NULL), 0);
    assert_int_equal(registry_activate(f->registry, f->db, "tiny", 3, &e), ERR_CONFLICT);
    assert_non_null(strstr(e.text, "has changed"));
    mem_free(bytes);
    assert_int_equal(serving(f, "tiny"), 2);
    /* Version 2, which serves, is cut short: the one below it stands in. */
    assert_int_equal(truncate(path_of(f, 2), 100), 0);
    assert_int_equal(restart(f, NULL), 1);
    assert_int_equal(serving(f, "tiny"), 1);
    assert_int_equal(active(f, "tiny"), 2);
    assert_non_null(strstr(complaints, "tiny/2/model.safetensors"));
}

/* A version that cannot be read at one start has a stand-in until it can, and stays the choice. */
static void test_stand_in(void **state)
{
    struct fixture *f = *state;
    struct registry_stand_in stand_in;
    char away[PATH_MAX + 8];
    for (int i = 0; i < 3; i++) {
        add(f, "tiny", i);
        assert_int_equal(registry_activate(f->registry, f->db, "tiny", i + 1, NULL), 0);
    }
    snprintf(away, sizeof(away), "%s.away", path_of(f, 3));
    assert_int_equal(rename(path_of(f, 3), away), 0);
    assert_int_equal(restart(f, NULL), 1);
    assert_int_equal(serving(f, "tiny"), 2);
    assert_int_equal(active(f, "tiny"), 3);
    assert_false(registry_is_whole(f->registry));
    assert_true(registry_stand_in(f->registry, "tiny", &stand_in));
    assert_int_equal(stand_in.wanted, 3);
    assert_int_equal(stand_in.serving, 2);
    assert_non_null(strstr(stand_in.reason, "tiny/3/model.safetensors"));
    assert_non_null(strstr(complaints, "version 2 serves instead of version 3"));
    complaints[0] = '\0';
    for (int i = 0; i < 3; i++) assert_int_equal(start(f, NULL, NULL), 1);
    assert_string_equal(complaints, ""); /* once for a cause */
    assert_int_equal(serving(f, "tiny"), 2);
    assert_int_equal(rename(away, path_of(f, 3)), 0);
    assert_int_equal(start(f, NULL, NULL), 1);
    assert_int_equal(serving(f, "tiny"), 3);
    assert_true(registry_is_whole(f->registry));
    assert_false(registry_stand_in(f->registry, "tiny", &stand_in));
    /* Activating what is the choice already, but does not serve, is not nothing. */
    assert_int_equal(rename(path_of(f, 3), away), 0);
    assert_int_equal(restart(f, NULL), 1);
    assert_int_equal(serving(f, "tiny"), 2);
    assert_int_equal(rename(away, path_of(f, 3)), 0);
    assert_int_equal(registry_activate(f->registry, f->db, "tiny", 3, NULL), 0);
    assert_int_equal(serving(f, "tiny"), 3);
    assert_true(registry_is_whole(f->registry));
}

/* What is missing or damaged and equals model.file is put right from it. */
static void test_restored(void **state)
{
    struct fixture *f = *state;
    struct stat st;
    char dir[PATH_MAX];
    assert_int_equal(restart(f, f->file[0]), 1);
    assert_int_equal(truncate(path_of(f, 1), 10), 0);
    assert_int_equal(restart(f, f->file[0]), 1);
    assert_int_equal(serving(f, "tiny"), 1);
    assert_true(registry_is_whole(f->registry));
    snprintf(dir, sizeof(dir), "%s", f->models);
    assert_int_equal(file_remove_tree(dir, NULL), 0);
    assert_int_equal(restart(f, f->file[0]), 1);
    assert_int_equal(serving(f, "tiny"), 1);
    assert_int_equal(stat(path_of(f, 1), &st), 0);
    assert_string_equal(complaints, "");
    assert_int_equal(restart(f, NULL), 1);
    assert_int_equal(serving(f, "tiny"), 1);
}

/* Whichever allocation of a start fails: the choice stands, and the next try puts it right. */
static void test_start_without_memory(void **state)
{
    struct fixture *f = *state;
    unsigned stood_in = 0;
    for (int i = 0; i < 2; i++) {
        add(f, "tiny", i);
        assert_int_equal(registry_activate(f->registry, f->db, "tiny", i + 1, NULL), 0);
    }
    for (unsigned n = 1; n < 600; n += n < 60 ? 1 : 13) {
        struct err e = {0};
        close_registry(f);
        open_registry(f);
        complaints[0] = '\0';
        mem_fail_at(n);
        int rc = start(f, NULL, &e);
        mem_fail_at(0);
        assert_int_equal(active(f, "tiny"), 2);
        assert_true(rc >= 0);
        stood_in += serving(f, "tiny") == 1;
        assert_int_equal(start(f, NULL, NULL), 1);
        assert_int_equal(serving(f, "tiny"), 2);
        assert_true(registry_is_whole(f->registry));
    }
    assert_true(stood_in > 5);
}

/* When nothing can be served (the disk with the models is not there, say) the database keeps its
 * choice. */
static void test_all_gone(void **state)
{
    struct fixture *f = *state;
    char away[PATH_MAX];
    for (int i = 0; i < 2; i++) {
        add(f, "tiny", i);
        assert_int_equal(registry_activate(f->registry, f->db, "tiny", i + 1, NULL), 0);
    }
    snprintf(away, sizeof(away), "%s/away", f->place.root);
    assert_int_equal(rename(f->models, away), 0);
    assert_int_equal(restart(f, NULL), 0);
    assert_non_null(strstr(complaints, "tiny/2"));
    assert_non_null(strstr(complaints, "tiny/1"));
    assert_int_equal(rename(away, f->models), 0);
    assert_int_equal(restart(f, NULL), 1);
    assert_int_equal(serving(f, "tiny"), 2);
}

static void test_crash(void **state)
{
    struct fixture *f = *state;
    char path[PATH_MAX];
    int64_t number;
    struct version_row row;
    add(f, "tiny", 0);
    assert_int_equal(registry_activate(f->registry, f->db, "tiny", 1, NULL), 0);
    /* Died while writing; and after the rename, before the row said ready. */
    assert_int_equal(version_table_add(f->db, "tiny",
                                       "0123456789abcdef0123456789abcdef0123456789abcdef"
                                       "0123456789abcdef",
                                       "job", "1", 1, 1, &number, NULL),
                     0);
    assert_int_equal(number, 2);
    snprintf(path, sizeof(path), "%s/tiny/.new-2", f->models);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof(path), "%s/tiny/2", f->models);
    assert_int_equal(mkdir(path, 0700), 0);
    /* What no row knows and is no version is left alone, and its number not used. */
    snprintf(path, sizeof(path), "%s/tiny/7", f->models);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(restart(f, NULL), 1);
    assert_int_equal(version_table_get(f->db, "tiny", 2, &row, NULL), ERR_NOT_FOUND);
    snprintf(path, sizeof(path), "%s/tiny/2", f->models);
    assert_false(file_exists(path));
    snprintf(path, sizeof(path), "%s/tiny/.new-2", f->models);
    assert_false(file_exists(path));
    snprintf(path, sizeof(path), "%s/tiny/7", f->models);
    assert_true(file_exists(path));
    assert_int_equal(add(f, "tiny", 1), 8);
}

/* A start without the database that knew the versions. */
static int restart_without_database(struct fixture *f, const char *import)
{
    struct err e = {0};
    close_registry(f);
    complaints[0] = '\0';
    assert_int_equal(unlink(place_path(&f->place, "a.db")), 0);
    open_registry(f);
    int rc = start(f, import, &e);
    if (rc < 0) fail_msg("%s", e.text);
    return rc;
}

static struct version_row row_of(struct fixture *f, int64_t number)
{
    struct version_row row;
    assert_int_equal(version_table_get(f->db, "tiny", number, &row, NULL), 0);
    return row;
}

/* A database that is lost: versions are found again, with their numbers and sums; the newest
 * serves, or the one that equals the file that was given; a new file is a new version. */
static void test_adopt(void **state)
{
    struct fixture *f = *state;
    int64_t version = 0;
    assert_int_equal(restart(f, f->file[0]), 1);
    for (int i = 1; i < 3; i++) add(f, "tiny", i);
    const struct version_row second = row_of(f, 2);

    assert_int_equal(restart_without_database(f, NULL), 1);
    assert_int_equal(serving(f, "tiny"), 3);
    assert_int_equal(active(f, "tiny"), 3);
    struct version_row found = row_of(f, 2);
    assert_string_equal(found.sha256, second.sha256);
    assert_string_equal(found.source, "disk");
    assert_true(found.ready);
    assert_int_equal(registry_rollback(f->registry, f->db, "tiny", &version, NULL), 0);
    assert_int_equal(version, 2);
    assert_true(registry_is_whole(f->registry));
    assert_string_equal(complaints, "");

    assert_int_equal(restart_without_database(f, f->file[1]), 1);
    assert_int_equal(serving(f, "tiny"), 2);
    assert_string_equal(row_of(f, 2).source, "import");
    assert_int_equal(version_table_get(f->db, "tiny", 4, &found, NULL), ERR_NOT_FOUND);
    assert_int_equal(restart(f, f->file[1]), 1);
    assert_int_equal(serving(f, "tiny"), 2);

    write_model(f->file[0], "tiny", 77);
    assert_int_equal(restart_without_database(f, f->file[0]), 1);
    assert_int_equal(serving(f, "tiny"), 4);
    assert_int_equal(registry_rollback(f->registry, f->db, "tiny", &version, NULL), 0);
    assert_int_equal(version, 3);

    /* One that does not load is not a version; the others are. */
    assert_int_equal(truncate(path_of(f, 4), 100), 0);
    assert_int_equal(restart_without_database(f, NULL), 1);
    assert_int_equal(serving(f, "tiny"), 3);
    assert_non_null(strstr(complaints, path_of(f, 4)));
    assert_int_equal(add(f, "tiny", 1), 5);
}

/* Whichever statement fails while versions are adopted: all of them are with the next call. */
static void test_adopt_fails(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 2; i++) add(f, "tiny", i);
    unsigned n = 1;
    for (; n < 60; n++) {
        close_registry(f);
        assert_int_equal(unlink(place_path(&f->place, "a.db")), 0);
        open_registry(f);
        db_fail_at(f->db, n);
        int rc = start(f, NULL, NULL);
        db_fail_at(f->db, 0);
        if (rc == 1 && registry_is_whole(f->registry)) break;
        assert_in_range(rc, 0, 1);
        assert_false(registry_is_whole(f->registry));
        assert_int_equal(start(f, NULL, NULL), 1);
        assert_int_equal(serving(f, "tiny"), 2);
        assert_int_equal(active(f, "tiny"), 2);
    }
    assert_true(n > 10 && n < 60);
}

/* A model that its damaged database gives no active version goes back to the last that is one. */
static void test_mend(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(restart(f, f->file[0]), 1);
    add(f, "tiny", 1);
    assert_int_equal(registry_activate(f->registry, f->db, "tiny", 2, NULL), 0);
    close_registry(f);
    sqlite3 *sqlite;
    assert_int_equal(sqlite3_open(place_path(&f->place, "a.db"), &sqlite), SQLITE_OK);
    assert_int_equal(sqlite3_exec(sqlite, "UPDATE model SET current = 77", NULL, NULL, NULL),
                     SQLITE_OK);
    sqlite3_close(sqlite);
    open_registry(f);
    assert_int_equal(start(f, NULL, NULL), 1);
    assert_int_equal(serving(f, "tiny"), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_import, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_import_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_activate, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_publish_fails, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_database_fails, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_memory, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_damaged, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_stand_in, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_restored, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_start_without_memory, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_all_gone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_adopt, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_adopt_fails, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_mend, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_crash, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("registry", tests, NULL, NULL);
}
