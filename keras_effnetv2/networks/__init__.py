"""What a network is: its rows, every variant, and the Keras model that they become."""
