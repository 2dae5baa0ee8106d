/* SPDX-License-Identifier: MIT */
/*
 * text.h - bytes as people should see them. Pure.
 *
 * A name, a URL or a server's message is foreign text: on a terminal a control character in it could move the cursor,
 * and a bidi character could turn "exe.gpj" around. cli_text_safe() shows such characters as \x1b or \u202e and leaves
 * all else as it is, the backslash too: this is for eyes, not for reading back.
 */
#ifndef CLI_TEXT_H
#define CLI_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One character of UTF-8 at text (n bytes left, n > 0): its length, and its code in *ret; 0 when it is not UTF-8. */
size_t cli_text_decode(const char *text, size_t n, uint32_t *ret);
bool cli_text_is_utf8(const char *text, size_t n);

/* text with control, bidi and broken characters escaped, cut to room bytes. Returns buf. */
char *cli_text_safe(const char *text, char *buf, size_t room);

/* Columns on the terminal, and the same text cut to at most columns (in place; "..." at the end when there is room). */
size_t cli_text_width(const char *text);
void cli_text_fit(char *text, size_t columns);

/* 12345678 -> "11.8M"; -1 -> "?". buf has at least 16 bytes; returns it. */
char *cli_text_bytes(int64_t bytes, char *buf);

/* ms -> "0:07", "1:02:03", "12d 3h"; -1 -> "-:--". buf has at least 24 bytes. */
char *cli_text_span(int64_t ms, char *buf);

/* Wall ms -> "2026-01-31T06:00:00.000Z". buf has at least 32 bytes. */
char *cli_text_time(int64_t ms, char *buf);

/* The last component of a path or URL, without query and fragment for a URL. Written to buf (room bytes). */
char *cli_text_name(const char *path_or_url, char *buf, size_t room);

/* Base64 of n bytes; room for 4 * ((n + 2) / 3) + 1 bytes. */
char *cli_text_base64(const void *bytes, size_t n, char *buf);

#endif
