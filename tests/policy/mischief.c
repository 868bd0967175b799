/* A policy that does what its configuration says, and nothing good; after `at BYTES ` for collectives of that size only.
   Compiled by the tests. */
#define _DEFAULT_SOURCE
#include "astra_policy.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char mischief[256];
static uint64_t at_bytes;
static unsigned asked;
static int behaves;

static int is(const char *word) {
    return !behaves && strcmp(mischief, word) == 0;
}

static int32_t open_policy(astra_policy_text config, void **context, astra_policy_buffer *error) {
    (void)context;
    if (config.len >= sizeof mischief) {
        return ASTRA_POLICY_ERROR;
    }
    memcpy(mischief, config.data, config.len);
    mischief[config.len] = '\0';
    if (strncmp(mischief, "at ", 3) == 0) {
        char *word;
        at_bytes = strtoull(mischief + 3, &word, 10);
        memmove(mischief, word + 1, strlen(word));
    }
    if (is("crash in open")) {
        *(volatile int *)NULL = 1;
    }
    if (is("hang in open")) {
        for (;;) {
            pause();
        }
    }
    if (is("refuse to open")) {
        astra_policy_write(error, "no table is called `refuse to open`");
        return -5;
    }
    return is("open with 9") ? 9 : ASTRA_POLICY_OK;
}

/* Returns when the child has said its number. */
static void leave_a_child(int of_its_own_session) {
    int ready[2];
    char byte = 0;
    if (pipe(ready) != 0) {
        abort();
    }
    pid_t child = fork();
    if (child == 0) {
        if (of_its_own_session) {
            setsid();
            if (fork() != 0) {
                _exit(0);
            }
        }
        fprintf(stderr, "child %ld\n", (long)getpid());
        (void)!write(ready[1], &byte, 1);
        for (;;) {
            pause();
        }
    }
    (void)!read(ready[0], &byte, 1);
    close(ready[0]);
    close(ready[1]);
}

static void flood(void) {
    char line[4096];
    memset(line, 'x', sizeof line);
    for (int i = 0; i < 4096; i++) {
        if (write(STDOUT_FILENO, line, sizeof line) < 0) {
            return;
        }
    }
}

static void trouble(const astra_policy_request *request) {
    if (is("crash") || (is("crash on the third") && ++asked == 3)) {
        *(volatile int *)NULL = 1;
    } else if (is("abort")) {
        fprintf(stderr, "table is not sorted\n");
        abort();
    } else if (is("exit")) {
        exit(3);
    } else if (is("hang")) {
        for (;;) {
            pause();
        }
    } else if (is("stop")) {
        raise(SIGSTOP);
    } else if (is("fork")) {
        leave_a_child(0);
    } else if (is("daemon")) {
        leave_a_child(1);
    } else if (is("come back twice")) {
        (void)!fork();
    } else if (is("flood")) {
        flood();
    } else if (is("flood for ever")) {
        for (;;) {
            flood();
        }
    } else if (is("scribble")) {
        for (int fd = 3; fd < 64; fd++) {
            (void)!write(fd, "\xff\xff\xff\xff\xff", 5);
        }
    } else if (is("devour memory")) {
        for (;;) {
            volatile char *block = malloc((size_t)64 << 20);
            if (block == NULL) {
                abort();
            }
            *block = 1;
        }
    } else if (is("burn") && request->payload_bytes > 0) {
        for (volatile unsigned long i = 0;; i++) {
        }
    } else if (strncmp(mischief, "write ", 6) == 0) {
        FILE *file = fopen(mischief + 6, "w");
        if (file != NULL) {
            fputs("was here\n", file);
            fclose(file);
        }
    }
}

static void misplace(const astra_policy_request *request, astra_policy_answer *answer) {
    uint64_t rows = request->dimension_count;
    if (is("row too many")) {
        answer->costs_ns[rows * answer->cost_stride] = 1.0;
    } else if (is("row too early")) {
        *(answer->costs_ns - 1) = 1.0;
    } else if (is("dense rows")) {
        for (uint64_t cell = 0; cell < rows * request->algorithm_count; cell++) {
            answer->costs_ns[cell] = 1.0;
        }
    } else if (is("algorithm too many")) {
        answer->algorithms[rows] = 0;
    } else if (is("own table")) {
        static int32_t table[16];
        answer->algorithms = table;
    } else if (is("long reason")) {
        answer->reason.len = answer->reason.capacity + 1;
    } else if (is("reason beyond")) {
        memset(answer->reason.data, 'x', answer->reason.capacity + 1);
    } else if (is("own reason")) {
        static char reason[] = "because";
        answer->reason.data = reason;
        answer->reason.len = 7;
    } else if (is("nan")) {
        answer->costs_ns[ASTRA_POLICY_ALGORITHM_RING] = NAN;
    } else if (is("infinite")) {
        answer->costs_ns[ASTRA_POLICY_ALGORITHM_RING] = INFINITY;
    } else if (is("negative")) {
        answer->costs_ns[ASTRA_POLICY_ALGORITHM_RING] = -0.5;
    } else if (is("predict nan")) {
        answer->predicted_ns = NAN;
    } else if (is("too few")) {
        answer->dimension_count = request->dimension_count - 1;
    } else if (is("too many")) {
        answer->dimension_count = request->dimension_count + 1;
    } else if (is("impossible")) {
        answer->algorithms[request->dimension_count - 1] = ASTRA_POLICY_ALGORITHM_MESH_2D;
    } else if (is("unheard of")) {
        answer->algorithms[0] = 1000;
    } else if (is("moody")) {
        answer->algorithms[0] = ++asked % 2 == 0 ? ASTRA_POLICY_ALGORITHM_RING : ASTRA_POLICY_ALGORITHM_DIRECT;
    } else if (is("environment")) {
        answer->algorithms[0] = getenv("PATH") == NULL ? ASTRA_POLICY_ALGORITHM_RING : 1000;
    }
}

static int32_t decide(void *context, const astra_policy_request *request, astra_policy_answer *answer,
                      astra_policy_buffer *error) {
    (void)context;
    behaves = at_bytes != 0 && request->payload_bytes != at_bytes;
    trouble(request);
    if (is("refuse")) {
        astra_policy_write(error, "no row for this size");
        return -3;
    }
    if (is("refuse silently")) {
        return -3;
    }
    if (is("no opinion")) {
        return ASTRA_POLICY_NO_OPINION;
    }
    if (is("return 7")) {
        return 7;
    }
    if (is("nothing")) {
        return ASTRA_POLICY_OK;
    }
    answer->dimension_count = request->dimension_count;
    if (is("no choice")) {
        return ASTRA_POLICY_OK;
    }
    for (uint32_t d = 0; d < request->dimension_count; d++) {
        answer->algorithms[d] = ASTRA_POLICY_ALGORITHM_RING;
    }
    misplace(request, answer);
    return ASTRA_POLICY_OK;
}

#ifndef TABLE_SIZE
#define TABLE_SIZE sizeof(astra_policy_plugin)
#endif
#ifndef NAME
#define NAME "mischief"
#endif

#ifdef NO_SYMBOL
#define astra_policy_v1 astra_policy_v2
#endif

ASTRA_POLICY_EXPORT = {
    .struct_size = TABLE_SIZE,
    .name = ASTRA_POLICY_TEXT(NAME),
    .version = ASTRA_POLICY_TEXT("1"),
    .description = ASTRA_POLICY_TEXT("does what its configuration says"),
    .open = open_policy,
#ifndef NO_DECIDE
    .decide = decide,
#endif
};
