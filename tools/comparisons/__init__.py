"""Ways to train and to export, compared with each other: a tool each."""
