# Compiles with this system's compiler against the glibc of another, older system, which lies in the folder CAPTIONEER_SYSROOT.
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES CAPTIONEER_SYSROOT CAPTIONEER_SYSROOT_LIBRARIES)
set(CMAKE_SYSROOT ${CAPTIONEER_SYSROOT})
# CMake tells nvcc nothing of it.
set(CMAKE_CUDA_FLAGS_INIT "-Xcompiler=--sysroot=${CAPTIONEER_SYSROOT}")
# GCC looks into the folders beside itself first, where this system's libraries are.
foreach(kind EXE SHARED MODULE)
  set(CMAKE_${kind}_LINKER_FLAGS_INIT
    "--sysroot=${CAPTIONEER_SYSROOT} -B${CAPTIONEER_SYSROOT_LIBRARIES} -L${CAPTIONEER_SYSROOT_LIBRARIES}")
endforeach()
