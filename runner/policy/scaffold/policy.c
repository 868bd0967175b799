/* The policy new-policy. Build it with make, try it with `astra-store plugin check new-policy.so`. */
#include "astra_policy.h"

static int32_t decide(void *context, const astra_policy_request *request, astra_policy_answer *answer,
                      astra_policy_buffer *error) {
    (void)context;
    (void)error;
    for (uint32_t d = 0; d < request->dimension_count; d++) {
        const astra_policy_dimension *dimension = astra_policy_dimension_at(request, d);
        /* Your rule goes here. Leave a dimension undecided and set costs_ns to have the cheapest one taken. */
        if (astra_policy_is_allowed(dimension, ASTRA_POLICY_ALGORITHM_RING)) {
            answer->algorithms[d] = ASTRA_POLICY_ALGORITHM_RING;
        } else {
            return ASTRA_POLICY_NO_OPINION;
        }
    }
    answer->dimension_count = request->dimension_count;
    astra_policy_write(&answer->reason, "ring is always possible");
    return ASTRA_POLICY_OK;
}

ASTRA_POLICY_EXPORT = {
    .struct_size = sizeof(astra_policy_plugin),
    .name = ASTRA_POLICY_TEXT("new-policy"),
    .version = ASTRA_POLICY_TEXT("1"),
    .description = ASTRA_POLICY_TEXT("ring, until it knows better"),
    .decide = decide,
};
