/* SPDX-License-Identifier: MIT */
/*
 * values.c - sizes, times, spans and counts: see values.h.
 *
 * Fractions are read as whole digits over a power of ten, not as floating point, so 1.1G is the same everywhere and
 * a number that does not fit is noticed. A date must exist: 2026-02-30 is refused, not turned into the second of March.
 */
#include "cli/values.h"

#include "dlmgr.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

struct unit {
    const char *name;
    int64_t factor;
};

static const struct unit size_units[] = {
    {"", 1},
    {"B", 1},
    {"k", INT64_C(1) << 10},
    {"K", INT64_C(1) << 10},
    {"M", INT64_C(1) << 20},
    {"G", INT64_C(1) << 30},
    {"T", INT64_C(1) << 40},
    {"kB", INT64_C(1) << 10},
    {"KB", INT64_C(1) << 10},
    {"MB", INT64_C(1) << 20},
    {"GB", INT64_C(1) << 30},
    {"TB", INT64_C(1) << 40},
    {"KiB", INT64_C(1) << 10},
    {"MiB", INT64_C(1) << 20},
    {"GiB", INT64_C(1) << 30},
    {"TiB", INT64_C(1) << 40},
    {0},
};

static const struct unit span_units[] = {
    {"", 1000}, {"ms", 1}, {"s", 1000}, {"m", 60 * 1000}, {"h", 3600000}, {"d", 86400000}, {0},
};

static bool say(char *why, const char *text)
{
    snprintf(why, CLI_WHY, "%s", text);
    return false;
}

/* Digits[.digits]unit as an integer number of units; false when it is not that or does not fit. */
static bool scaled(const char *text, const struct unit *units, int64_t *ret)
{
    int64_t whole = 0, part = 0, parts = 1, product;
    const char *at = text;

    if (!isdigit((unsigned char)*at))
        return false;
    for (; isdigit((unsigned char)*at); at++)
        if (__builtin_mul_overflow(whole, 10, &whole) ||
            __builtin_add_overflow(whole, *at - '0', &whole))
            return false;
    if (*at == '.' && isdigit((unsigned char)at[1]))
        for (at++; isdigit((unsigned char)*at); at++)
            if (parts < 1000000) {
                part = part * 10 + (*at - '0');
                parts *= 10;
            }
    for (; units->name; units++)
        if (strcmp(at, units->name) == 0)
            break;
    if (!units->name || __builtin_mul_overflow(whole, units->factor, &product))
        return false;
    return !__builtin_add_overflow(product, part * units->factor / parts, ret);
}

bool cli_size(const char *text, int64_t *ret, char *why)
{
    return scaled(text, size_units, ret) || say(why, "must be a size such as 512, 64k, 1.5M or 2G");
}

bool cli_span(const char *text, int64_t *ret, char *why)
{
    return scaled(text + (*text == '+'), span_units, ret) ||
           say(why, "must be seconds or a span such as 90s, 15m, 2h or 3d");
}

bool cli_number(const char *text, int64_t min, int64_t max, int64_t *ret, char *why)
{
    const char *digits = text + (*text == '-' || *text == '+');
    int64_t value = 0;
    bool good = *digits != '\0';

    for (; good && *digits; digits++)
        good = isdigit((unsigned char)*digits) && !__builtin_mul_overflow(value, 10, &value) &&
               !__builtin_add_overflow(value, *digits - '0', &value);
    if (*text == '-')
        value = -value;
    if (!good || value < min || value > max) {
        if (max == INT64_MAX)
            snprintf(why, CLI_WHY, "must be a whole number, %lld or more", (long long)min);
        else
            snprintf(why, CLI_WHY, "must be a whole number from %lld to %lld", (long long)min,
                     (long long)max);
        return false;
    }
    *ret = value;
    return true;
}

/* ---- Moments ----------------------------------------------------------------------------------- */

/* Exactly n digits at *at, moved past. */
static bool digits(const char **at, int n, int *ret)
{
    int value = 0;

    for (; n > 0; n--, (*at)++) {
        if (!isdigit((unsigned char)**at))
            return false;
        value = value * 10 + (**at - '0');
    }
    *ret = value;
    return true;
}

static bool one_of(const char **at, const char *set)
{
    if (!**at || !strchr(set, **at))
        return false;
    (*at)++;
    return true;
}

/* Z, or an offset in minutes. */
static bool zone(const char **at, int *ret_minutes)
{
    int sign = **at == '-' ? -1 : 1, hours, minutes;

    if (one_of(at, "Zz")) {
        *ret_minutes = 0;
        return true;
    }
    if (!one_of(at, "+-") || !digits(at, 2, &hours) || !one_of(at, ":") || !digits(at, 2, &minutes))
        return false;
    *ret_minutes = sign * (hours * 60 + minutes);
    return hours < 24 && minutes < 60;
}

static int fraction(const char **at)
{
    int ms = 0, weight = 100;

    if (**at != '.' || !isdigit((unsigned char)(*at)[1]))
        return 0;
    for ((*at)++; isdigit((unsigned char)**at); (*at)++, weight /= 10)
        ms += (**at - '0') * weight;
    return ms;
}

static bool rfc3339(const char *at, int64_t *ret)
{
    struct tm tm = {0}, back;
    int year, month, offset, ms;
    time_t seconds;

    if (!digits(&at, 4, &year) || !one_of(&at, "-") || !digits(&at, 2, &month) ||
        !one_of(&at, "-") || !digits(&at, 2, &tm.tm_mday) || !one_of(&at, "Tt ") ||
        !digits(&at, 2, &tm.tm_hour) || !one_of(&at, ":") || !digits(&at, 2, &tm.tm_min))
        return false;
    if (one_of(&at, ":") && !digits(&at, 2, &tm.tm_sec))
        return false;
    ms = fraction(&at);
    tm.tm_year = year - 1900;
    tm.tm_mon = month - 1;
    back = tm;
    if (tm.tm_sec > 59 || !zone(&at, &offset) || *at)
        return false;
    seconds = timegm(&tm);
    if (tm.tm_mday != back.tm_mday || tm.tm_mon != back.tm_mon || tm.tm_hour != back.tm_hour ||
        tm.tm_min != back.tm_min)
        return false;
    *ret = ((int64_t)seconds - offset * 60) * 1000 + ms;
    return true;
}

static bool clock_time(const char *at, int64_t now, int64_t *ret)
{
    time_t today = (time_t)(now / 1000), then;
    struct tm tm;
    int hour, minute;

    if (!digits(&at, 2, &hour) || !one_of(&at, ":") || !digits(&at, 2, &minute) || *at ||
        hour > 23 || minute > 59)
        return false;
    localtime_r(&today, &tm);
    tm.tm_hour = hour;
    tm.tm_min = minute;
    tm.tm_sec = 0;
    tm.tm_isdst = -1;
    then = mktime(&tm);
    if ((int64_t)then * 1000 <= now) {
        tm.tm_mday++;
        tm.tm_isdst = -1;
        then = mktime(&tm);
    }
    *ret = (int64_t)then * 1000;
    return true;
}

bool cli_time(const char *text, int64_t now, int64_t *ret, char *why)
{
    int64_t span;

    if (*text == '+' && scaled(text + 1, span_units, &span) &&
        !__builtin_add_overflow(now, span, ret))
        return true;
    if (rfc3339(text, ret) || clock_time(text, now, ret))
        return true;
    return say(why,
               "must be a time such as 2026-01-31T06:00:00Z, 23:30, or +2h (also +90s, +15m, +3d)");
}

/* ---- The rest ---------------------------------------------------------------------------------- */

bool cli_keep(const char *text, int64_t *ret_n, int64_t *ret_ms, char *why)
{
    int64_t n = 0, ms = 0;

    if (!cli_number(text, 1, 1000000000, &n, why)) {
        n = 0;
        if (strspn(text, "0123456789") == strlen(text) || !cli_span(text, &ms, why) || ms == 0)
            return say(why, "must be a number of tasks such as 1000, or a span such as 12h or 30d");
    } else if (*text == '+') {
        return say(why, "must be a number of tasks such as 1000, or a span such as 12h or 30d");
    }
    *ret_n = n;
    *ret_ms = ms;
    return true;
}

bool cli_yes(const char *text, int *ret, char *why)
{
    static const char *const names[] = {"no", "yes", "false", "true", "off", "on", "0", "1", NULL};
    int found = 1;

    if (*text && !cli_choice(text, names, &found, why))
        return say(why, "must be yes or no");
    *ret = found & 1;
    return true;
}

bool cli_choice(const char *text, const char *const *names, int *ret, char *why)
{
    size_t used;
    int i;

    for (i = 0; names[i]; i++)
        if (strcasecmp(text, names[i]) == 0) {
            *ret = i;
            return true;
        }
    used = (size_t)snprintf(why, CLI_WHY, "must be one of");
    for (i = 0; names[i] && used < CLI_WHY; i++)
        used += (size_t)snprintf(why + used, CLI_WHY - used, "%s %s", i ? "," : "", names[i]);
    return false;
}

bool cli_states(const char *text, unsigned *ret, char *why)
{
    const char *names[17] = {0}, *end;
    unsigned states = 0;
    char word[32];
    int i;

    for (i = 0; i < 16 && dlmgr_state_name(i); i++)
        names[i] = dlmgr_state_name(i);
    for (;; text = end + 1) {
        end = text + strcspn(text, ",");
        snprintf(word, sizeof(word), "%.*s", (int)(end - text), text);
        if (!cli_choice(word, names, &i, why))
            return false;
        states |= 1u << i;
        if (!*end)
            break;
    }
    *ret = states;
    return true;
}
