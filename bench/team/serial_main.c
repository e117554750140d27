/* serial_main.c: the floor: the work in serial; `WORK calls`: with one call a node. */
#include <math.h>
#include <stdio.h>

#include "harness.h"
#include "works.h"

int main(int argc, char **argv)
{
    double figure = argc >= 2 ? works_serial(argv, argc > 2) : NAN;

    if (isnan(figure))
        return BENCH_SKIPPED;
    (void)printf("%.6g\n", figure);
    return 0;
}
