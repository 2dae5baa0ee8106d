/* SPDX-License-Identifier: MIT */
/*
 * json.c - see json.h.
 *
 * EVP_DecodeBlock() takes spaces and counts padding as zero bytes, so the text is looked at first: groups of four of the
 * alphabet, at most two = at the end.
 */
#include "dlmgr/json.h"

#include <limits.h>
#include <openssl/evp.h>

char *dlm_json_dump(const json_t *json)
{
    const size_t flags = JSON_COMPACT | JSON_ENCODE_ANY;
    size_t room = 1024, len;
    char *text = dlm_alloc(room);

    while (text && (len = json_dumpb(json, text, room - 1, flags)) >= room) {
        free(text);
        room = len + 1;
        text = dlm_alloc(room);
    }
    if (text && len == 0)
        free(TAKE_PTR(text));
    else if (text)
        text[len] = '\0';
    return text;
}

json_t *dlm_json_object(const char *text)
{
    json_t *json = text ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) : NULL;

    if (json_is_object(json))
        return json;
    json_decref(json);
    return NULL;
}

json_t *dlm_bytes_to_json(const void *data, size_t len)
{
    CLEANUP_FREE unsigned char *text = NULL;
    json_t *json;

    if (!data)
        return json_null();
    json = memchr(data, '\0', len) ? NULL : json_stringn(data, len);
    if (json || len > INT_MAX / 2)
        return json;
    text = dlm_alloc(len / 3 * 4 + 5);
    if (!text)
        return NULL;
    EVP_EncodeBlock(text, data, (int)len);
    return json_pack("{s:s}", "base64", (char *)text);
}

static bool is_base64(const char *text, size_t len)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t n = strspn(text, alphabet);

    return len % 4 == 0 && len - n <= 2 && strspn(text + n, "=") == len - n;
}

static int decode(const char *text, size_t len, char **ret, size_t *ret_len)
{
    size_t pad;
    char *data;

    if (len > INT_MAX || !is_base64(text, len))
        return DLMGR_EINVAL;
    pad = len - strcspn(text, "=");
    data = dlm_alloc(len / 4 * 3 + 1);
    if (!data)
        return DLMGR_ENOMEM;
    EVP_DecodeBlock((unsigned char *)data, (const unsigned char *)text, (int)len);
    *ret_len = len / 4 * 3 - pad;
    data[*ret_len] = '\0';
    *ret = data;
    return 0;
}

int dlm_bytes_from_json(const json_t *json, char **ret, size_t *ret_len)
{
    const json_t *coded = json_object_get(json, "base64");
    size_t len;

    if (!json || json_is_null(json)) {
        *ret = NULL;
        *ret_len = 0;
        return 0;
    }
    if (json_is_string(coded) && json_object_size(json) == 1)
        return decode(json_string_value(coded), json_string_length(coded), ret, ret_len);
    if (!json_is_string(json))
        return DLMGR_EINVAL;
    len = json_string_length(json);
    *ret = dlm_alloc(len + 1);
    if (!*ret)
        return DLMGR_ENOMEM;
    memcpy(*ret, json_string_value(json), len);
    *ret_len = len;
    return 0;
}

const char *dlm_json_string(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

int64_t dlm_json_int(const json_t *object, const char *name, int64_t otherwise)
{
    const json_t *value = json_object_get(object, name);

    return json_is_integer(value) ? json_integer_value(value) : otherwise;
}

bool dlm_json_true(const json_t *object, const char *name)
{
    return json_is_true(json_object_get(object, name));
}
