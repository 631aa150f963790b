"""Training in an order that storage likes: large reads of neighbouring records.

`stores` says what a store of chunks is, `lanes` which records a step takes, `reading`
fetches chunks ahead, `steps` makes datasets of them, and `spread` measures how well
they are mixed.
"""
