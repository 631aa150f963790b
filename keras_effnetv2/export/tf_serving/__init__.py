"""What TF Serving serves: versions, their configuration, their warm-up."""
