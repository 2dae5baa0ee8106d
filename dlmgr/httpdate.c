/* SPDX-License-Identifier: MIT */
/*
 * httpdate.c - the three date forms of RFC 9110, 5.6.7, to seconds since 1970.
 *
 *     Sun, 06 Nov 1994 08:49:37 GMT      IMF-fixdate, the only one that may be sent
 *     Sunday, 06-Nov-94 08:49:37 GMT     RFC 850
 *     Sun Nov  6 08:49:37 1994           asctime
 *
 * Exact, case included, and independent of locale and time zone. A weekday that does not fit the date is not
 * looked at. A two-digit year is the one nearest to now, up to 50 years ahead, so "now" is a parameter.
 */
#include "dlmgr/headers.h"

struct fields {
    int64_t year;
    int month, day, hour, minute, second; /* month from 0 */
    bool short_year;
};

static const char *const weekdays[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                       "Thursday", "Friday", "Saturday"};
static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

/* %a Sun  %A Sunday  %b Nov  %d 06  %e " 6"  %Y 1994  %y 94  %H %M %S two digits */
static const char *const forms[] = {
    "%a, %d %b %Y %H:%M:%S GMT",
    "%A, %d-%b-%y %H:%M:%S GMT",
    "%a %b %e %H:%M:%S %Y",
};

/* n digits at p, -1 when they are not. */
static int digits(const char *p, size_t n)
{
    int value = 0;

    for (size_t i = 0; i < n; i++) {
        if (p[i] < '0' || p[i] > '9')
            return -1;
        value = value * 10 + p[i] - '0';
    }
    return value;
}

static size_t read_weekday(const char *p, size_t left, bool full)
{
    for (size_t i = 0; i < ARRAY_SIZE(weekdays); i++) {
        size_t n = full ? strlen(weekdays[i]) : 3;

        if (n <= left && memcmp(p, weekdays[i], n) == 0)
            return n;
    }
    return 0;
}

static int read_month(const char *p)
{
    for (int i = 0; i < 12; i++)
        if (memcmp(p, months + 3 * i, 3) == 0)
            return i;
    return -1;
}

/* One conversion at p; bytes it took, 0 when it does not fit. */
static size_t read_field(char code, const char *p, size_t left, struct fields *f)
{
    size_t need = code == 'Y' ? 4 : code == 'b' ? 3 : 2;
    int value;

    if (code == 'a' || code == 'A')
        return read_weekday(p, left, code == 'A');
    if (left < need)
        return 0;
    if (code == 'b')
        value = f->month = read_month(p);
    else if (code == 'e' && p[0] == ' ')
        value = f->day = digits(p + 1, 1);
    else
        value = digits(p, need);
    switch (code) {
    case 'd':
    case 'e':
        f->day = value;
        break;
    case 'H':
        f->hour = value;
        break;
    case 'M':
        f->minute = value;
        break;
    case 'S':
        f->second = value;
        break;
    case 'y':
        f->short_year = true;
        f->year = value;
        break;
    case 'Y':
        f->year = value;
        break;
    }
    return value < 0 ? 0 : need;
}

static bool read_form(const char *form, const char *p, size_t left, struct fields *f)
{
    for (; *form; form++) {
        size_t n = left && *p == *form ? 1 : 0;

        if (*form == '%')
            n = read_field(*++form, p, left, f);
        if (n == 0)
            return false;
        p += n;
        left -= n;
    }
    return left == 0;
}

static bool is_leap(int64_t year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int days_of(int64_t year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

    return days[month] + (month == 1 && is_leap(year));
}

/* Days from 1970 to the first of January of a year from 0 to 9999. */
static int64_t days_before(int64_t year)
{
    int64_t y = year + 399; /* positive, so that division rounds down */

    return 365 * year + y / 4 - y / 100 + y / 400 - 719624;
}

static int64_t year_of(int64_t now_ms)
{
    int64_t days = now_ms / 86400000, year = 1970 + days / 366;

    while (days_before(year + 1) <= days)
        year++;
    return year;
}

bool dlm_http_date(const char *text, size_t len, int64_t now_ms, int64_t *ret_seconds)
{
    struct fields f;
    int64_t days;
    bool fits = false;

    for (size_t i = 0; i < ARRAY_SIZE(forms) && !fits; i++) {
        f = (struct fields){0};
        fits = read_form(forms[i], text, len, &f);
    }
    if (!fits)
        return false;
    if (f.short_year) {
        int64_t now = year_of(now_ms);

        f.year += now - now % 100;
        if (f.year > now + 50)
            f.year -= 100;
        else if (f.year <= now - 50)
            f.year += 100;
    }
    if (f.day < 1 || f.day > days_of(f.year, f.month) || f.hour > 23 || f.minute > 59 ||
        f.second > 60)
        return false;
    days = days_before(f.year) + f.day - 1;
    for (int m = 0; m < f.month; m++)
        days += days_of(f.year, m);
    *ret_seconds = days * 86400 + f.hour * 3600 + f.minute * 60 + f.second;
    return true;
}
