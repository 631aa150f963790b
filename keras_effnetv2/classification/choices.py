"""What may be chosen of a classifier; nothing that is slow to import."""

# Images that go through the network together: more are no faster on a processor.
BATCH_SIZE = 16
