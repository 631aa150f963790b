"""From encoded images to pixels, the same along every path."""
