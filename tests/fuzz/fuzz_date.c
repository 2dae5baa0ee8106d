/* SPDX-License-Identifier: MIT */
/*
 * fuzz_date.c - HTTP dates there and back, with the C library's calendar as the other witness.
 *
 * Six bytes choose now and a moment, which must be read back from each of the three forms. The rest is a text: when it is
 * taken for a date, that date written down again is the text.
 */
#include "dlmgr/headers.h"
#include "tests/fuzz/fuzz.h"

#include <time.h>

static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
static const char *const rest_of_days[] = {"day", "day", "sday", "nesday", "rsday", "day", "urday"};
static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

static void write_form(int form, int64_t at, char out[64])
{
    struct tm tm;
    time_t t = at;
    int n = 0;

    MUST(gmtime_r(&t, &tm) != NULL);
    if (form == 0)
        n = snprintf(out, 64, "%s, %02d %s %04d %02d:%02d:%02d GMT", days[tm.tm_wday], tm.tm_mday,
                     months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
    else if (form == 1)
        n = snprintf(out, 64, "%s%s, %02d-%s-%02d %02d:%02d:%02d GMT", days[tm.tm_wday],
                     rest_of_days[tm.tm_wday], tm.tm_mday, months[tm.tm_mon],
                     (tm.tm_year + 1900) % 100, tm.tm_hour, tm.tm_min, tm.tm_sec);
    else
        n = snprintf(out, 64, "%s %s %2d %02d:%02d:%02d %04d", days[tm.tm_wday], months[tm.tm_mon],
                     tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, tm.tm_year + 1900);
    MUST(n > 0 && n < 64);
}

/* What follows the weekday, with what may be written in two ways written in one. */
static void plain(const char *text, size_t len, char out[64])
{
    const char *space = memchr(text, ' ', len);

    MUST(space && len < 64);
    len -= (size_t)(space - text);
    memcpy(out, space, len);
    out[len] = '\0';
    if (text[3] == ' ' && out[5] == '0')
        out[5] = ' '; /* of asctime: "Nov 06" */
}

/* But for leap seconds, which the calendar does not have. */
static void check_text(const char *text, size_t len, int64_t now)
{
    char theirs[64], ours[64], said[64];
    int64_t at;

    if (!dlm_http_date(text, len, now, &at) || memmem(text, len, ":60", 3))
        return;
    plain(text, len, theirs);
    write_form(text[3] == ',' ? 0 : text[3] == ' ' ? 2 : 1, at, said);
    plain(said, strlen(said), ours);
    MUST(!strcmp(theirs, ours));
}

FUZZ(date)
{
    struct bytes b = {data, size};
    int64_t now = 0, at = 0, read;
    char text[64];

    for (int i = 0; i < 3; i++) {
        now = now << 8 | next_byte(&b);
        at = at << 8 | next_byte(&b);
    }
    now = now * 15000;              /* up to the year 9945 */
    at = now + at * 93 - 780000000; /* within 25 years of it */
    for (int form = 0; form < 3; form++) {
        if (at < INT64_C(-62167219200))
            break; /* no year of four digits */
        write_form(form, at, text);
        MUST(dlm_http_date(text, strlen(text), now * 1000, &read) && read == at);
    }
    check_text((const char *)b.at, MIN(b.left, 63), now * 1000);
}
