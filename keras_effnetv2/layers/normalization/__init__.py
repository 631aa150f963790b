"""Batch norm: fused, over replicas, and on JAX together with the layers around it."""
