/* Transcendental functions whose bits do not depend on the C library: the scalar forms of SLEEF's
 * deterministic `finz` set (SLEEF 3.5, "Bit-identical results across platforms"). f: float32, d:
 * float64. */
#ifndef OPS_MATHFN_H
#define OPS_MATHFN_H

#include <math.h>

/* sleef.h declares these only where the compiler targets FMA; the library has them always. */
#define MATHFN(name, ulp)                                 \
    double Sleef_finz_##name##d1_##ulp##purecfma(double); \
    float Sleef_finz_##name##f1_##ulp##purecfma(float);   \
    static inline double name##_d(double x) {             \
        return Sleef_finz_##name##d1_##ulp##purecfma(x);  \
    }                                                     \
    static inline float name##_f(float x) {               \
        return Sleef_finz_##name##f1_##ulp##purecfma(x);  \
    }

MATHFN(exp, u10)
MATHFN(expm1, u10)
MATHFN(log, u10)
MATHFN(log1p, u10)
MATHFN(log2, u10)
MATHFN(tanh, u10)
MATHFN(sin, u10)
MATHFN(cos, u10)
MATHFN(tan, u10)
MATHFN(asin, u10)
MATHFN(acos, u10)
MATHFN(atan, u10)
MATHFN(sinh, u10)
MATHFN(cosh, u10)
MATHFN(asinh, u10)
MATHFN(acosh, u10)
MATHFN(atanh, u10)
MATHFN(erf, u10)
MATHFN(lgamma, u10)
MATHFN(tgamma, u10)

double Sleef_finz_powd1_u10purecfma(double, double);
float Sleef_finz_powf1_u10purecfma(float, float);
double Sleef_finz_atan2d1_u10purecfma(double, double);
float Sleef_finz_atan2f1_u10purecfma(float, float);

static inline double pow_d(double x, double y) {
    return Sleef_finz_powd1_u10purecfma(x, y);
}
static inline float pow_f(float x, float y) {
    return Sleef_finz_powf1_u10purecfma(x, y);
}
static inline double atan2_d(double y, double x) {
    return Sleef_finz_atan2d1_u10purecfma(y, x);
}
static inline float atan2_f(float y, float x) {
    return Sleef_finz_atan2f1_u10purecfma(y, x);
}

#endif
