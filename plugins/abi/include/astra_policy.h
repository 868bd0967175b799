/*
 * The interface between astra-store and a collective-algorithm policy, version 1. C11, needs nothing else.
 *
 * A policy is a shared library that exports one object, `astra_policy_v1`. It is asked which algorithm a collective
 * should use on each dimension of a network. Its answer must be a pure function of the configuration it was opened
 * with and the request: no clock, no file, no environment, no memory of earlier requests, because answers are kept
 * and reused. `astra-store plugin check FILE` tests that.
 *
 * Rules that keep old and new fitting together:
 *   - Structs begin with struct_size, the size their maker knows, and only grow at the end. Reading or writing a member
 *     that lies beyond struct_size is an error. A member is never removed, moved or given another meaning.
 *   - Enumerations are fixed 32-bit numbers; new ones are added, none is reused. Meet an unknown one with an error.
 *   - Arrays of structs come with the stride between entries in bytes: use it, not sizeof.
 *   - Text is UTF-8, pointer and length, not terminated. Nothing is owned across the line: what the host hands in is
 *     valid until the call returns, what the policy exports must stay valid and unchanged for ever.
 *   - Units are in the names.
 */
#ifndef ASTRA_POLICY_H
#define ASTRA_POLICY_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What `decide` and `open` return. Any negative number is an error; a text in `error` says which. */
#define ASTRA_POLICY_OK 0         /* decided (or opened) */
#define ASTRA_POLICY_NO_OPINION 1 /* `decide` only: let the host's default decide, recorded as such */
#define ASTRA_POLICY_ERROR (-1)   /* the step that asked fails with the text */

/* Collectives. */
#define ASTRA_POLICY_ALL_REDUCE 0u
#define ASTRA_POLICY_ALL_GATHER 1u
#define ASTRA_POLICY_REDUCE_SCATTER 2u
#define ASTRA_POLICY_ALL_TO_ALL 3u

/* Topologies of a dimension. */
#define ASTRA_POLICY_RING 0u
#define ASTRA_POLICY_FULLY_CONNECTED 1u
#define ASTRA_POLICY_SWITCH 2u
#define ASTRA_POLICY_MESH 3u
#define ASTRA_POLICY_HYPER_CUBE 4u
#define ASTRA_POLICY_TORUS_2D 5u
#define ASTRA_POLICY_MESH_2D 6u
#define ASTRA_POLICY_KING_MESH_2D 7u
#define ASTRA_POLICY_BUS 8u
#define ASTRA_POLICY_BINARY_TREE 9u
#define ASTRA_POLICY_DOUBLE_BINARY_TREE 10u

/* Algorithms: entries of `algorithms`, columns of `costs_ns` and bits of `allowed`. */
#define ASTRA_POLICY_ALGORITHM_RING 0
#define ASTRA_POLICY_ALGORITHM_ONE_RING 1
#define ASTRA_POLICY_ALGORITHM_DIRECT 2
#define ASTRA_POLICY_ALGORITHM_ONE_DIRECT 3
#define ASTRA_POLICY_ALGORITHM_HALVING_DOUBLING 4
#define ASTRA_POLICY_ALGORITHM_ONE_HALVING_DOUBLING 5
#define ASTRA_POLICY_ALGORITHM_DOUBLE_BINARY_TREE 6
#define ASTRA_POLICY_ALGORITHM_MESH 7
#define ASTRA_POLICY_ALGORITHM_HYPER_CUBE 8
#define ASTRA_POLICY_ALGORITHM_TORUS_2D 9
#define ASTRA_POLICY_ALGORITHM_MESH_2D 10

/* Network models: whether messages compete for links. */
#define ASTRA_POLICY_CONGESTION_AWARE 0u
#define ASTRA_POLICY_CONGESTION_UNAWARE 1u

/* Dialects: whose rules the simulation follows. */
#define ASTRA_POLICY_ASTRA_SIM 0u
#define ASTRA_POLICY_DEEPFLOW 1u

/* Decompositions of an all-reduce over several dimensions. */
#define ASTRA_POLICY_BASELINE 0u       /* a whole all-reduce in every dimension, one after the other */
#define ASTRA_POLICY_LOCAL_BW_AWARE 1u /* reduce-scatters, an all-reduce in the last dimension, all-gathers back */

/* What the host fills the answer with before it asks. */
#define ASTRA_POLICY_UNDECIDED (-1) /* every entry of `algorithms` */
#define ASTRA_POLICY_NO_COST (-1.0) /* every cell of `costs_ns`, and `predicted_ns` */

/* UTF-8 text, not terminated; `data` may be null when `len` is 0. */
typedef struct astra_policy_text {
    const char *data;
    uint64_t len; /* bytes */
} astra_policy_text;

/* Room for text that the policy writes; it sets `len` to what it used, at most `capacity`. */
typedef struct astra_policy_buffer {
    char *data;
    uint64_t capacity; /* bytes */
    uint64_t len;      /* bytes; 0 at first */
} astra_policy_buffer;

/* One dimension of the network. */
typedef struct astra_policy_dimension {
    uint64_t struct_size;          /* bytes */
    astra_policy_text id;          /* the user's name of it */
    uint32_t topology;             /* ASTRA_POLICY_RING, ... */
    uint32_t npus;                 /* members along it, at least 2 */
    double bandwidth_bytes_per_s;  /* of one link, > 0 */
    double latency_ns;             /* of one hop, >= 0 */
    uint64_t allowed;              /* bit a: algorithm a can run this collective here; the host refuses any other */
} astra_policy_dimension;

/* The question. */
typedef struct astra_policy_request {
    uint64_t struct_size;                      /* bytes */
    uint32_t collective;                       /* ASTRA_POLICY_ALL_REDUCE, ... */
    uint32_t element_bytes;                    /* of one number of the payload, at least 1 */
    uint64_t payload_bytes;                    /* size of the collective as in the trace: per rank */
    uint32_t ranks;                            /* ranks of the whole system */
    uint32_t group_count;                      /* ranks that take part; 0: all of the system */
    const uint32_t *group;                     /* their numbers, ascending; null when group_count is 0 */
    uint32_t dimension_count;                  /* network dimensions, at least 1 */
    uint32_t algorithm_count;                  /* algorithms the host knows: columns of `costs_ns` */
    uint64_t dimension_stride;                 /* bytes from one entry of `dimensions` to the next */
    const astra_policy_dimension *dimensions;  /* fastest-varying first */
    uint64_t endpoint_delay_ns;                /* charged before every message */
    uint32_t dataset_splits;                   /* chunks a collective is cut into */
    uint32_t active_chunks;                    /* chunks active at once per dimension */
    uint32_t network_model;                    /* ASTRA_POLICY_CONGESTION_AWARE, ... */
    uint32_t dialect;                          /* ASTRA_POLICY_ASTRA_SIM, ... */
    double local_memory_bytes_per_s;           /* three passes of it reduce a message; 0: reducing takes no time */
    uint32_t collective_optimization;          /* ASTRA_POLICY_BASELINE, ... */
    uint32_t queues_per_dimension;             /* that share the active chunks of a dimension, at least 1 */
} astra_policy_request;

/*
 * The answer. For every dimension d either set algorithms[d], or leave it undecided and set the cost of at least one
 * algorithm: the host takes the cheapest one that is allowed, of equals that with the lower number. Where both are set
 * the algorithm counts. A cost is finite and not negative; NO_COST means "not considered".
 */
typedef struct astra_policy_answer {
    uint64_t struct_size;        /* bytes */
    uint32_t dimension_count;    /* set to the number of dimensions answered: all of them; 0 at first */
    uint32_t dataset_splits;     /* 0 at first: as asked; else this many instead */
    uint32_t active_chunks;      /* 0 at first: as asked; else this many instead */
    uint32_t reserved;           /* 0 */
    int32_t *algorithms;         /* one entry per dimension */
    double *costs_ns;            /* cell of dimension d and algorithm a: costs_ns[d * cost_stride + a] */
    uint64_t cost_stride;        /* cells from one dimension to the next; more than algorithm_count, and what
                                    lies between is not to be touched */
    double predicted_ns;         /* time of the whole collective, if the policy has an idea; NO_COST at first */
    astra_policy_buffer reason;  /* why, in a few words for a reader; optional */
} astra_policy_answer;

/* What the library exports. */
typedef struct astra_policy_plugin {
    uint64_t struct_size;          /* sizeof(astra_policy_plugin) */
    astra_policy_text name;        /* lower-case letters, digits and dashes, at most 64 bytes */
    astra_policy_text version;     /* of the policy's rules, at most 64 bytes */
    astra_policy_text description; /* one line, at most 256 bytes */

    /*
     * Reads the configuration (the text of the recipe's `policy.config`, empty when there is none) and may leave a
     * pointer of its own in *context, which every `decide` gets. May be null: then there is no configuration, and
     * one that is not empty is an error.
     */
    int32_t (*open)(astra_policy_text config, void **context, astra_policy_buffer *error);

    /* Answers one request. Called from one thread at a time. Must not be null. */
    int32_t (*decide)(void *context, const astra_policy_request *request, astra_policy_answer *answer,
                      astra_policy_buffer *error);

    /* Ends what `open` began. May be null. */
    void (*close)(void *context);
} astra_policy_plugin;

/* Declares, defines and makes visible: ASTRA_POLICY_EXPORT = { sizeof(astra_policy_plugin), ... }; */
#if defined(_WIN32)
#define ASTRA_POLICY_EXPORT __declspec(dllexport) const astra_policy_plugin astra_policy_v1
#elif defined(__GNUC__)
#define ASTRA_POLICY_EXPORT \
    extern const astra_policy_plugin astra_policy_v1; \
    __attribute__((visibility("default"))) const astra_policy_plugin astra_policy_v1
#else
#define ASTRA_POLICY_EXPORT const astra_policy_plugin astra_policy_v1
#endif

/* A constant text: ASTRA_POLICY_TEXT("ring-everywhere"). */
#define ASTRA_POLICY_TEXT(literal) { literal, sizeof(literal) - 1 }

/* Dimension `index` of a request. */
static inline const astra_policy_dimension *astra_policy_dimension_at(const astra_policy_request *request,
                                                                      uint32_t index) {
    const char *first = (const char *)request->dimensions;
    return (const astra_policy_dimension *)(const void *)(first + (size_t)index * (size_t)request->dimension_stride);
}

/* Whether an algorithm is possible on a dimension. */
static inline int astra_policy_is_allowed(const astra_policy_dimension *dimension, int32_t algorithm) {
    return algorithm >= 0 && algorithm < 64 && ((dimension->allowed >> algorithm) & 1u) != 0;
}

/* Writes terminated text into a buffer, as much of it as fits. */
static inline void astra_policy_write(astra_policy_buffer *buffer, const char *text) {
    uint64_t len = 0;
    while (text[len] != '\0' && len < buffer->capacity) {
        buffer->data[len] = text[len];
        len++;
    }
    buffer->len = len;
}

#ifdef __cplusplus
}
#endif

#endif
