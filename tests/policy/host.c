/* Another host of the interface: asks the plugin it is given as an older and as a newer host would, and prints what comes of
   it, a line for each. Compiled by the tests. */
#include "astra_policy.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

enum { STRIDE = 8, MARGIN = 77 };

/* As a later version may write them: what is known comes first. */
struct dimension {
    astra_policy_dimension known;
    uint64_t later[3];
};
struct request {
    astra_policy_request known;
    uint64_t later[5];
};
struct answer {
    astra_policy_answer known;
    uint64_t later[2];
};

static struct dimension dimensions[2];
static struct request request;
static struct answer answer;
static double costs_ns[3 * STRIDE];
static int32_t algorithms[3];
static char reason[64], text[256];

static void fresh(void) {
    memset(dimensions, 0x5a, sizeof dimensions);
    for (int d = 0; d < 2; d++) {
        dimensions[d].known = (astra_policy_dimension){
            .struct_size = sizeof(struct dimension),
            .id = ASTRA_POLICY_TEXT("links"),
            .topology = d == 0 ? ASTRA_POLICY_RING : ASTRA_POLICY_SWITCH,
            .npus = 4,
            .bandwidth_bytes_per_s = 1e9,
            .latency_ns = 500.0,
            .allowed = 1u << ASTRA_POLICY_ALGORITHM_RING | 1u << ASTRA_POLICY_ALGORITHM_DIRECT,
        };
    }
    memset(&request, 0x5a, sizeof request);
    request.known = (astra_policy_request){
        .struct_size = sizeof(struct request),
        .collective = ASTRA_POLICY_ALL_REDUCE,
        .element_bytes = 1,
        .payload_bytes = 64,
        .ranks = 16,
        .dimension_count = 2,
        .algorithm_count = 3,
        .dimension_stride = sizeof(struct dimension),
        .dimensions = &dimensions[0].known,
        .dataset_splits = 1,
        .active_chunks = 1,
        .queues_per_dimension = 1,
    };
    memset(&answer, 0x5a, sizeof answer);
    answer.known = (astra_policy_answer){
        .struct_size = sizeof(struct answer),
        .algorithms = algorithms,
        .costs_ns = costs_ns,
        .cost_stride = STRIDE,
        .predicted_ns = ASTRA_POLICY_NO_COST,
        .reason = {.data = reason, .capacity = sizeof reason},
    };
    for (int d = 0; d < 3; d++) {
        algorithms[d] = d < 2 ? ASTRA_POLICY_UNDECIDED : MARGIN;
        for (int a = 0; a < STRIDE; a++) {
            costs_ns[d * STRIDE + a] = MARGIN;
        }
    }
}

/* How many cells have been written to, inside what this host knows and outside. */
static void ask(const char *what, const astra_policy_plugin *plugin, void *context) {
    astra_policy_buffer error = {.data = text, .capacity = sizeof text};
    int32_t code = plugin->decide(context, &request.known, &answer.known, &error);
    int inside = 0, outside = algorithms[2] != MARGIN;
    for (int d = 0; d < 3; d++) {
        for (int a = 0; a < STRIDE; a++) {
            int written = costs_ns[d * STRIDE + a] != (double)MARGIN;
            int known = d < 2 && a < (int)request.known.algorithm_count;
            inside += written && known;
            outside += written && !known;
        }
    }
    printf("%s: %d, %u dimensions, %d costs, %d outside: %.*s\n", what, (int)code,
           (unsigned)answer.known.dimension_count, inside, outside, (int)error.len, text);
}

int main(int argc, char **argv) {
    void *library = argc == 2 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;
    const astra_policy_plugin *plugin = library != NULL ? dlsym(library, "astra_policy_v1") : NULL;
    void *context = NULL;
    astra_policy_buffer error = {.data = text, .capacity = sizeof text};
    const astra_policy_text nothing = ASTRA_POLICY_TEXT("");
    if (plugin == NULL || plugin->open(nothing, &context, &error) != ASTRA_POLICY_OK) {
        return 1;
    }
    fresh();
    ask("newer", plugin, context);
    fresh();
    request.known.algorithm_count = 2;
    ask("fewer algorithms", plugin, context);
    fresh();
    request.known.struct_size = sizeof(astra_policy_request) - 8;
    ask("older request", plugin, context);
    fresh();
    request.known.dimension_stride = sizeof(astra_policy_dimension) - 8;
    ask("older dimensions", plugin, context);
    fresh();
    answer.known.struct_size = sizeof(astra_policy_answer) - 8;
    ask("older answer", plugin, context);
    fresh();
    request.known.collective = 9;
    ask("unheard of", plugin, context);
    plugin->close(context);
    return 0;
}
