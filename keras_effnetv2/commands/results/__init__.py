"""Results of commands on many images, row by row, in files that can be resumed."""
