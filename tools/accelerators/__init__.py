"""What tools/compile_accelerator.py is made of: compilers, and what moves the bytes."""
