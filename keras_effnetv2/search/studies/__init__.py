"""Studies: their storage, their queue of trials, and workers."""
