"""Race detection: which accesses to a common byte nothing orders."""
