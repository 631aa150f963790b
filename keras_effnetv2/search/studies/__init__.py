"""Studies: where they are kept, their queue of trials, and workers."""
