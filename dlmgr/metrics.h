/* SPDX-License-Identifier: MIT */
/*
 * metrics.h - how long the parts of a task took, in microseconds.
 *
 *     queue       not at work: queued, waiting, paused (time that it lay failed is not counted)
 *     dns         names resolved            \
 *     connect     TCP, and what a proxy does |  summed over its requests; 0 where a connection was used again
 *     tls         handshakes                 |
 *     first_byte  request sent, nothing yet /
 *     transfer    from the first byte of the file to the last, as the clock on the wall sees it, however many connections bring it
 *     sync        the part synced; of a short file its digest, too
 *     verify      the digest of a long one
 *     commit      the journal told, the file renamed, the directory synced
 *
 * They are sums over all that the task has been through: runs, retries, owners. A task that leaves, and each checkpoint of a long one, stores
 * them with the row; what a killed owner had measured since is lost, and counts as queue.
 *
 * Stored is a text without what is zero, since thousands of small files a second carry one; dlm_metrics_json() shows all members.
 */
#ifndef DLM_METRICS_H
#define DLM_METRICS_H

#include "dlmgr/base.h"

#include <jansson.h>

enum dlm_metric {
    DLM_METRIC_QUEUE,
    DLM_METRIC_DNS,
    DLM_METRIC_CONNECT,
    DLM_METRIC_TLS,
    DLM_METRIC_FIRST_BYTE,
    DLM_METRIC_TRANSFER,
    DLM_METRIC_SYNC,
    DLM_METRIC_VERIFY,
    DLM_METRIC_COMMIT,
    DLM_METRICS
};

struct dlm_metrics {
    int64_t us[DLM_METRICS];
    int64_t left_at; /* wall ms: when it was last at work; 0: it has ended, so no queue begins there */
};

#define DLM_METRICS_SIZE 400

/* As it is stored. */
void dlm_metrics_write(const struct dlm_metrics *m, char out[DLM_METRICS_SIZE]);
/* What dlm_metrics_write() wrote; NULL and other text leave *ret all zero. */
void dlm_metrics_read(const char *stored, struct dlm_metrics *ret);

/* For people and programs: {"queue_us": N, ...}, all members; null for NULL. NULL: no memory. */
json_t *dlm_metrics_json(const char *stored);
/* The same from the stored object (of an event). */
json_t *dlm_metrics_shown(const json_t *stored);

#endif
