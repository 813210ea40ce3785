/* What the machine can do at most: GFLOP/s of one thread in a loop of independent fmas that touches
 * no memory. */
#ifndef BENCH_PEAK_H
#define BENCH_PEAK_H

double peak_f(void);
double peak_d(void);

#endif
