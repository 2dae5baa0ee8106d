/* SPDX-License-Identifier: MIT */
/*
 * args.c - the words of a command line, and the help that is made from the same table.
 *
 * Why not getopt_long: a wrong word must be named with its reason and remedy, abbreviations of long options would become a
 * promise that no later option may break, and a test can call this one twice. Understood are --name=value, --name value,
 * -xVALUE, -x VALUE, letters together (-qv), -- (the rest are operands) and - (an operand).
 */
#include "cli/options.h"

#include <stdio.h>
#include <string.h>

struct words {
    int n, at;
    char **word;
    const char *command; /* "" in front of it */
};

static bool unknown(const struct words *words, const char *word, char *why)
{
    bool any = strncmp(word, "--", 2) == 0
                   ? cli_option_long(C_ANY, word + 2, strcspn(word + 2, "=")) != NULL
                   : cli_option_letter(C_ANY, word[1]) != NULL;

    snprintf(why, CLI_MESSAGE, "%s: %s option; see dlmgr %s%s--help", word,
             any && *words->command ? "not this command's"
             : any                  ? "the command comes before this"
                                    : "unknown",
             words->command, *words->command ? " " : "");
    return false;
}

/* Name what is wrong with the value as it was typed. */
static bool apply(const struct cli_option *option, struct args *args, const char *shown,
                  const char *value, char *why)
{
    char reason[CLI_MESSAGE];

    if (cli_option_apply(option, args, value, args->arena, reason)) {
        args->given[option - cli_options] = value;
        return true;
    }
    snprintf(why, CLI_MESSAGE, "%s %.200s: %.300s", shown, value, reason);
    return false;
}

static bool need_value(struct words *words, const char *shown, const struct cli_option *option,
                       const char **ret, char *why)
{
    if (words->at + 1 >= words->n) {
        snprintf(why, CLI_MESSAGE, "%s: needs a value (%s)", shown, option->value);
        return false;
    }
    *ret = words->word[++words->at];
    return true;
}

static bool long_option(struct args *args, unsigned command, struct words *words, char *why)
{
    const char *word = words->word[words->at], *value = "";
    size_t n = strcspn(word + 2, "=");
    const struct cli_option *option = cli_option_long(command, word + 2, n);
    char shown[64];

    if (!option)
        return unknown(words, word, why);
    snprintf(shown, sizeof(shown), "--%s", option->name);
    if (option->value) {
        if (word[2 + n] == '=')
            value = word + 2 + n + 1;
        else if (!need_value(words, shown, option, &value, why))
            return false;
    } else if (word[2 + n] == '=') {
        snprintf(why, CLI_MESSAGE, "%s: takes no value", shown);
        return false;
    }
    return apply(option, args, shown, value, why);
}

static bool short_options(struct args *args, unsigned command, struct words *words, char *why)
{
    const char *at, *value;

    for (at = words->word[words->at] + 1; *at; at++) {
        const struct cli_option *option = cli_option_letter(command, *at);
        char shown[3] = {'-', *at, '\0'};

        if (!option)
            return unknown(words, at == words->word[words->at] + 1 ? words->word[words->at] : shown,
                           why);
        if (!option->value) {
            if (!apply(option, args, shown, "", why))
                return false;
            continue;
        }
        value = at + 1;
        if (!*value && !need_value(words, shown, option, &value, why))
            return false;
        return apply(option, args, shown, value, why);
    }
    return true;
}

bool cli_args_parse(struct args *args, unsigned command, const char *command_name, int n,
                    char **word, int *ret_used, char *why)
{
    struct words words = {.n = n, .word = word, .command = command ? command_name : ""};
    bool only_operands = false;

    for (; words.at < n; words.at++) {
        const char *this = word[words.at];

        if (only_operands || *this != '-' || !this[1]) {
            if (!command)
                break;
            cli_strings_add(&args->operands, args->arena, this);
        } else if (strcmp(this, "--") == 0) {
            only_operands = true;
        } else if (this[1] == '-') {
            if (!long_option(args, command ? command : C_GLOBAL, &words, why))
                return false;
        } else if (!short_options(args, command ? command : C_GLOBAL, &words, why)) {
            return false;
        }
    }
    *ret_used = words.at;
    return true;
}

void cli_options_help(unsigned command)
{
    const struct cli_option *option;
    char name[48];

    for (option = cli_options; option->name; option++) {
        if (!(option->commands & command) || (option->places & HIDDEN))
            continue;
        snprintf(name, sizeof(name), "%s%s--%s%s%s",
                 option->letter ? (char[]){'-', option->letter, '\0'} : "  ",
                 option->letter ? ", " : "  ", option->name, option->value ? " " : "",
                 option->value ? option->value : "");
        printf("  %-28s  %s\n", name, option->help);
    }
}
