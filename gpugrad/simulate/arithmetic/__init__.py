"""What PTX instructions compute: a table of opcodes, and the functions on arrays behind it."""
