/*
 * A policy in C: `direct` for small collectives, `ring` for large ones, on every dimension.
 *
 * The configuration is the largest size in bytes that is small; 1 MiB when there is none.
 *
 *     cc -std=c11 -O2 -shared -fPIC -I plugins/abi/include examples/policies/small_direct.c -o small_direct.so
 *     astra-store plugin check small_direct.so
 */
#include "astra_policy.h"

#include <stdlib.h>

typedef struct settings {
    uint64_t small_bytes;
} settings;

static int32_t open(astra_policy_text config, void **context, astra_policy_buffer *error) {
    /* A file ends with a newline. */
    if (config.len > 0 && config.data[config.len - 1] == '\n') {
        config.len--;
    }
    uint64_t small_bytes = config.len == 0 ? UINT64_C(1) << 20 : 0;
    for (uint64_t i = 0; i < config.len; i++) {
        char digit = config.data[i];
        if (digit < '0' || digit > '9' || small_bytes > UINT64_MAX / 10 - 1) {
            astra_policy_write(error, "the configuration is one number of bytes, for example 65536");
            return ASTRA_POLICY_ERROR;
        }
        small_bytes = small_bytes * 10 + (uint64_t)(digit - '0');
    }
    settings *made = malloc(sizeof *made);
    if (made == NULL) {
        astra_policy_write(error, "out of memory");
        return ASTRA_POLICY_ERROR;
    }
    made->small_bytes = small_bytes;
    *context = made;
    return ASTRA_POLICY_OK;
}

static int32_t decide(void *context, const astra_policy_request *request, astra_policy_answer *answer,
                      astra_policy_buffer *error) {
    const settings *known = context;
    int small = request->payload_bytes <= known->small_bytes;
    int32_t wanted = small ? ASTRA_POLICY_ALGORITHM_DIRECT : ASTRA_POLICY_ALGORITHM_RING;
    for (uint32_t d = 0; d < request->dimension_count; d++) {
        if (!astra_policy_is_allowed(astra_policy_dimension_at(request, d), wanted)) {
            astra_policy_write(error, "neither ring nor direct is possible here");
            return ASTRA_POLICY_ERROR;
        }
        answer->algorithms[d] = wanted;
    }
    answer->dimension_count = request->dimension_count;
    astra_policy_write(&answer->reason, small ? "small: few messages in a row" : "large: no link carries twice");
    return ASTRA_POLICY_OK;
}

static void close(void *context) {
    free(context);
}

ASTRA_POLICY_EXPORT = {
    .struct_size = sizeof(astra_policy_plugin),
    .name = ASTRA_POLICY_TEXT("small-direct"),
    .version = ASTRA_POLICY_TEXT("1"),
    .description = ASTRA_POLICY_TEXT("direct up to a size, ring above it"),
    .open = open,
    .decide = decide,
    .close = close,
};
