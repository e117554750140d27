/* test_model.c: the grammar of models. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "pool/model.h"

#define N_OF(array) (sizeof(array) / sizeof(array)[0])

static void legal_models_are_filled_in(void **state)
{
    static const struct {
        const char *text;
        unsigned n_cpus;
        const char *expect;
        unsigned n_lanes;
    } cases[] = {
        {"serial", 8, "serial", 1},
        {"threads", 8, "threads:8", 8},
        {"threads:3", 8, "threads:3", 3},
        {"processes", 4, "processes:4", 4},
        {"processes:4/threads:2", 1, "processes:4/threads:2", 8},
        {"processes/threads", 4, "processes:4/threads:1", 4},
        {"processes/threads:2", 4, "processes:2/threads:2", 4},
        {"processes:2/threads", 4, "processes:2/threads:2", 4},
        {"processes:8/threads", 4, "processes:8/threads:1", 8},
        {"threads:4096", 1, "threads:4096", 4096},
    };

    (void)state;
    for (size_t i = 0; i < N_OF(cases); i++) {
        struct mui_model m;
        struct mu_error err = {.text = ""};

        if (mui_model_parse(cases[i].text, cases[i].n_cpus, &m, &err) != 0)
            fail_msg("%s: %s", cases[i].text, err.text);
        assert_string_equal(m.text, cases[i].expect);
        assert_int_equal(m.n_lanes, cases[i].n_lanes);
        assert_ptr_equal(m.layers[m.n_layers - 1].ops, &mui_layer_serial);
    }
}

static void others_are_refused_with_a_reason(void **state)
{
    static const struct {
        const char *text;
        const char *says;
    } cases[] = {
        {NULL, "none given"},
        {"", "a layer is empty"},
        {"/", "a layer is empty"},
        {"threads/", "a layer is empty"},
        {"thread", "unknown layer 'thread'"},
        {"threads:0", "has to be a number from 1 to 4096"},
        {"threads:-1", "has to be a number"},
        {"threads:", "has to be a number"},
        {"threads:4x", "has to be a number"},
        {"threads: 4", "has to be a number"},
        {"threads:99999999999999999999", "has to be a number"},
        {"threads/processes", "'processes' cannot stand below 'threads'"},
        {"threads/threads", "'threads' cannot stand below 'threads'"},
        {"serial:2", "'serial' stands alone"},
        {"processes/serial", "'serial' stands alone"},
        {"fibers:100", "no layer 'fibers'"},
        {"mpi/processes", "no layer 'mpi'"},
        {"processes:1000/threads:1000", "at most 4096"},
    };

    (void)state;
    for (size_t i = 0; i < N_OF(cases); i++) {
        struct mui_model m;
        struct mu_error err = {.text = ""};

        assert_int_equal(mui_model_parse(cases[i].text, 4, &m, &err),
                         MU_EMODEL);
        if (!strstr(err.text, cases[i].says))
            fail_msg("%s: '%s' lacks '%s'", cases[i].text, err.text,
                     cases[i].says);
        assert_null(strchr(err.text, '\n'));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(legal_models_are_filled_in),
        cmocka_unit_test(others_are_refused_with_a_reason),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
