# Flags of the instruction sets, file by file: nothing else may be compiled with them, or the program would not start on a
# machine that lacks them.
# -fno-trapping-math changes no value: it lets a loop compute both sides of a choice.
# Straight-line vectorizing finds nothing in loops that are written in vectors, and took ten times the rest of the compilation.
# Under a sanitizer the loops stay as they are written: time to compile counts there.
set(fast "-O3;-fno-trapping-math;-fno-slp-vectorize")
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
  set(fast "-O3;-fno-trapping-math;-fno-tree-slp-vectorize")
endif()
if(CALQUE_SANITIZE)
  set(fast "-O1;-fno-trapping-math")
endif()
if(CALQUE_FUZZ) # the drivers are for readers; the sanitized builds test the kernels
  list(APPEND fast "-fno-sanitize=all")
endif()
set(kernels ${CMAKE_CURRENT_SOURCE_DIR}/src/kernels)
set_source_files_properties(${kernels}/isa_portable.c ${kernels}/isa_neon.c PROPERTIES COMPILE_OPTIONS "${fast}")
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64|amd64")
  set_source_files_properties(${kernels}/isa_avx2.c PROPERTIES COMPILE_OPTIONS "${fast};-mavx2;-mfma;-mf16c")
  set_source_files_properties(${kernels}/isa_avx512.c PROPERTIES COMPILE_OPTIONS
    "${fast};-mavx2;-mfma;-mf16c;-mavx512f;-mavx512vl;-mavx512dq;-mavx512bw;-mprefer-vector-width=512")
endif()
add_subdirectory(${CMAKE_CURRENT_SOURCE_DIR}/bench)
