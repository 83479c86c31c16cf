// What this system's headers and C++ library ask of glibc and older systems lack. Only in portable
// builds (CMakeLists.txt), which carry that library inside.

extern "C" {

// glibc 2.32 and newer say here whether the process has had one thread only, so that counters need
// no atomic instructions. False is right in every process.
__attribute__((visibility("hidden"))) char __libc_single_threaded = 0;

// glibc 2.29 has versions of these that handle errors in another way; values are the same. The
// linker (--wrap) sends every call here.
#ifdef __x86_64__
__asm__(".symver log_2_2_5, log@GLIBC_2.2.5");
__asm__(".symver log2_2_2_5, log2@GLIBC_2.2.5");
__asm__(".symver pow_2_2_5, pow@GLIBC_2.2.5");
double log_2_2_5(double x);
double log2_2_2_5(double x);
double pow_2_2_5(double x, double y);
double __wrap_log(double x) { return log_2_2_5(x); }
double __wrap_log2(double x) { return log2_2_2_5(x); }
double __wrap_pow(double x, double y) { return pow_2_2_5(x, y); }
#else
double __real_log(double x);
double __real_log2(double x);
double __real_pow(double x, double y);
double __wrap_log(double x) { return __real_log(x); }
double __wrap_log2(double x) { return __real_log2(x); }
double __wrap_pow(double x, double y) { return __real_pow(x, y); }
#endif

}  // extern "C"
