"""Web: the compiled kernels as WebAssembly, with a description that a page can build any small machine from."""
