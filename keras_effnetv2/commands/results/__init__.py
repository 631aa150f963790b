"""What commands find out of many images, row by row, in files that can be resumed."""
