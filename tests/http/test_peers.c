/* Clients by address: which addresses are one client, which count for nobody, and that whoever
 * leaves is forgotten. */
#include "config.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include <cmocka.h>

#include "../../src/http/peers.h"

static struct peer *enter(struct peers *peers, const char *text)
{
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(1234)};
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(1234)};
    if (inet_pton(AF_INET, text, &four.sin_addr) == 1)
        return peers_enter(peers, (const struct sockaddr *)&four);
    assert_int_equal(inet_pton(AF_INET6, text, &six.sin6_addr), 1);
    return peers_enter(peers, (const struct sockaddr *)&six);
}

static void assert_empty(const struct peers *peers)
{
    for (size_t i = 0; i < PEERS_BUCKETS; i++) assert_null(peers->buckets[i]);
}

static void test_who_is_one(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        bool one;
    } pairs[] = {
        {"192.0.2.1", "192.0.2.1", true},
        {"192.0.2.1", "192.0.2.2", false},
        {"192.0.2.1", "::ffff:192.0.2.1", true},
        {"::ffff:192.0.2.1", "::ffff:192.0.2.2", false},
        {"2001:db8::1", "2001:db8::ffff:1", true},
        {"2001:db8::1", "2001:db8:0:1::1", false},
        {"::1", "192.0.2.1", false},
    };
    struct peers peers = {0};
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        struct peer *a = enter(&peers, pairs[i].a), *b = enter(&peers, pairs[i].b);
        assert_true((a == b) == pairs[i].one);
        assert_int_equal(a->connections, pairs[i].one ? 2 : 1);
        peers_leave(&peers, a);
        peers_leave(&peers, b);
        assert_empty(&peers);
    }
    const struct sockaddr_un local = {.sun_family = AF_UNIX};
    assert_null(peers_enter(&peers, (const struct sockaddr *)&local));
    peers_leave(&peers, NULL);
}

/* More than there are buckets, in and out in another order. */
static void test_many(void **state)
{
    (void)state;
    enum { N = 1000 };
    struct peers peers = {0};
    struct peer *all[N];
    char text[40];
    for (int i = 0; i < N; i++) {
        snprintf(text, sizeof(text), "10.0.%d.%d", i / 250, i % 250);
        all[i] = enter(&peers, text);
        assert_int_equal(all[i]->connections, 1);
        assert_ptr_equal(enter(&peers, text), all[i]);
    }
    for (int i = 0; i < 2 * N; i++) peers_leave(&peers, all[i * 7 % N]);
    assert_empty(&peers);
}

static void test_trusted(void **state)
{
    (void)state;
    static const struct {
        const char *list, *address;
        bool trusted;
    } cases[] = {
        {"", "192.0.2.1", false},
        {" , \t,", "192.0.2.1", false},
        {"192.0.2.1", "192.0.2.1", true},
        {"192.0.2.1", "192.0.2.0", false},
        {"192.0.2.1", "::ffff:192.0.2.1", true},
        {"192.0.2.9/29", "192.0.2.15", true},
        {"192.0.2.9/29", "192.0.2.16", false},
        {"192.0.2.9/29", "192.0.2.7", false},
        {"10.0.0.0/8", "10.255.255.255", true},
        {"10.0.0.0/8", "11.0.0.0", false},
        {"0.0.0.0/0", "198.51.100.1", true},
        {"0.0.0.0/0", "2001:db8::1", false},
        {"10.0.0.0/8, 2001:db8::/32\tfd00::/8", "2001:db8:ffff::1", true},
        {"10.0.0.0/8,2001:db8::/32,fd00::/8", "fdff::1", true},
        {"10.0.0.0/8,2001:db8::/32,fd00::/8", "fe00::1", false},
        {"::1/128", "::1", true},
        {"::1/127", "::2", false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct peers peers = {0};
        struct err e;
        assert_int_equal(peers_trust(&peers, cases[i].list, &e), 0);
        struct peer *peer = enter(&peers, cases[i].address);
        assert_true((peer == NULL) == cases[i].trusted);
        peers_leave(&peers, peer);
        assert_empty(&peers);
    }
}

static void test_bad_lists(void **state)
{
    (void)state;
    static const char *const lists[] = {
        "a",
        "10.0.0/8",
        "10.0.0.0/33",
        "10.0.0.0/",
        "10.0.0.0/-1",
        "10.0.0.0/+8",
        "/8",
        "::1/129",
        "10.0.0.0/8x",
        "10.0.0.0 /8",
        "1.2.3.4;5.6.7.8",
        "fe80::1%lo",
        "[::1]",
        "10.0.0.0/99999999999999999999",
        "1111111111111111111111111111111111111111111111111111111111111111111111111111111111111111"};
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        struct peers peers = {0};
        struct err e;
        assert_int_equal(peers_trust(&peers, lists[i], &e), ERR_FORMAT);
    }
    struct peers peers = {0};
    struct err e;
    for (int i = 0; i < PEERS_TRUSTED_MAX; i++) assert_int_equal(peers_trust(&peers, "::1", &e), 0);
    assert_int_equal(peers_trust(&peers, "::1", &e), ERR_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who_is_one),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_trusted),
        cmocka_unit_test(test_bad_lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
