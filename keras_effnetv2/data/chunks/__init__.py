"""Training in an order that is fast on slow storage: large reads of neighbours.

`stores` defines stores of chunks, `lanes` decides which records a step takes, `reading`
prefetches chunks, `steps` makes datasets of them, and `spread` measures how well they
are mixed.
"""
