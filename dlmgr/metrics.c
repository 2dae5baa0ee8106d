/* SPDX-License-Identifier: MIT */
/*
 * metrics.c - how long the parts of a task took: see metrics.h.
 *
 * Writing and reading are done by hand: both happen for each small file, and a JSON tree costs ten times as much.
 */
#include "dlmgr/metrics.h"

#define LEFT_AT "left_at"

static const char *const names[DLM_METRICS] = {
    [DLM_METRIC_QUEUE] = "queue_us",
    [DLM_METRIC_DNS] = "dns_us",
    [DLM_METRIC_CONNECT] = "connect_us",
    [DLM_METRIC_TLS] = "tls_us",
    [DLM_METRIC_FIRST_BYTE] = "first_byte_us",
    [DLM_METRIC_TRANSFER] = "transfer_us",
    [DLM_METRIC_SYNC] = "sync_us",
    [DLM_METRIC_VERIFY] = "verify_us",
    [DLM_METRIC_COMMIT] = "commit_us",
};

/* "name":n, behind `at`; returns its end. */
static char *put(char *at, const char *name, int64_t n)
{
    size_t len = strlen(name);
    char digits[20];
    int i = 0;

    *at++ = '"';
    memcpy(at, name, len);
    at += len;
    *at++ = '"';
    *at++ = ':';
    do
        digits[i++] = (char)('0' + n % 10);
    while ((n /= 10) > 0);
    while (i > 0)
        *at++ = digits[--i];
    *at++ = ',';
    return at;
}

void dlm_metrics_write(const struct dlm_metrics *m, char out[DLM_METRICS_SIZE])
{
    char *at = out;

    *at++ = '{';
    for (int i = 0; i < DLM_METRICS; i++)
        if (m->us[i] > 0)
            at = put(at, names[i], m->us[i]);
    if (m->left_at > 0)
        at = put(at, LEFT_AT, m->left_at);
    at -= at[-1] == ',';
    *at++ = '}';
    *at = '\0';
}

static int64_t *member_of(struct dlm_metrics *m, const char *name, size_t len)
{
    for (int i = 0; i < DLM_METRICS; i++)
        if (strlen(names[i]) == len && memcmp(names[i], name, len) == 0)
            return &m->us[i];
    return len == strlen(LEFT_AT) && memcmp(LEFT_AT, name, len) == 0 ? &m->left_at : NULL;
}

void dlm_metrics_read(const char *stored, struct dlm_metrics *ret)
{
    const char *at = stored;

    *ret = (struct dlm_metrics){{0}, 0};
    while (at && (at = strchr(at, '"'))) {
        size_t len = strcspn(++at, "\"");
        int64_t *member = member_of(ret, at, len), n = 0;

        at += len;
        if (strncmp(at, "\":", 2) != 0)
            return;
        for (at += 2; *at >= '0' && *at <= '9' && n < INT64_MAX / 20; at++)
            n = n * 10 + (*at - '0');
        if (member)
            *member = n;
    }
}

static json_t *object_of(const struct dlm_metrics *m)
{
    json_t *object = json_object();

    for (int i = 0; object && i < DLM_METRICS; i++)
        if (json_object_set_new_nocheck(object, names[i], json_integer(m->us[i]))) {
            json_decref(object);
            return NULL;
        }
    return object;
}

json_t *dlm_metrics_json(const char *stored)
{
    struct dlm_metrics m;

    if (!stored)
        return json_null();
    dlm_metrics_read(stored, &m);
    return object_of(&m);
}

json_t *dlm_metrics_shown(const json_t *stored)
{
    struct dlm_metrics m = {{0}, 0};

    if (!json_is_object(stored))
        return json_null();
    if (json_object_size(stored) == DLM_METRICS)
        return json_incref((json_t *)(uintptr_t)stored); /* as we write it today */
    for (int i = 0; i < DLM_METRICS; i++)
        m.us[i] = json_integer_value(json_object_get(stored, names[i]));
    return object_of(&m);
}
