# Flags of the instruction sets, file by file: nothing else may be compiled with them, or the program would not start on a
# machine that lacks them.
set(kernels ${CMAKE_CURRENT_SOURCE_DIR}/src/kernels)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64|amd64")
  set_source_files_properties(${kernels}/isa_avx2.c PROPERTIES COMPILE_OPTIONS "-mavx2;-mfma;-mf16c")
  set_source_files_properties(${kernels}/isa_avx512.c PROPERTIES COMPILE_OPTIONS
    "-mavx2;-mfma;-mf16c;-mavx512f;-mavx512vl;-mavx512dq;-mavx512bw;-mprefer-vector-width=512")
endif()
add_subdirectory(${CMAKE_CURRENT_SOURCE_DIR}/bench)
