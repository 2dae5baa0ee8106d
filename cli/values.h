/* SPDX-License-Identifier: MIT */
/*
 * values.h - words that people type, as numbers: sizes, times, spans, counts. Pure, so tables of rows test it.
 *
 * Every function takes all of the text or none of it, and says in why (at least CLI_WHY bytes) what was expected when
 * it does not fit: "must be a size such as 512, 64k, 1.5M or 2G". The caller puts the name in front of it. Nothing here
 * touches the clock or the environment but cli_time(), which is given `now` and asks localtime for HH:MM.
 */
#ifndef CLI_VALUES_H
#define CLI_VALUES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CLI_WHY = 160 };

/* Bytes: digits, perhaps with a fraction, then k, M, G or T (1024) and perhaps B or iB. */
bool cli_size(const char *text, int64_t *ret, char *why);

/* A whole number from min to max. */
bool cli_number(const char *text, int64_t min, int64_t max, int64_t *ret, char *why);

/* A span in ms: seconds, perhaps with a fraction, or with s, m, h or d; a leading + is fine. */
bool cli_span(const char *text, int64_t *ret, char *why);

/* A moment in wall ms: RFC 3339 with its zone, HH:MM (the next one, local time), or +90s, +15m, +2h, +3d from now. */
bool cli_time(const char *text, int64_t now, int64_t *ret, char *why);

/* How many, or how long: 1000, or 30d. Exactly one of the two is written; the other becomes 0. */
bool cli_keep(const char *text, int64_t *ret_n, int64_t *ret_ms, char *why);

/* yes, no, true, false, on, off, 1, 0; "" is yes. */
bool cli_yes(const char *text, int *ret, char *why);

/* "failed,paused" as bits (1u << state). */
bool cli_states(const char *text, unsigned *ret, char *why);

/* The index of text among names (ends in NULL). */
bool cli_choice(const char *text, const char *const *names, int *ret, char *why);

#endif
