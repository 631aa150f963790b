"""Networks: rows, variants, and the Keras models built from them."""
