"""What a training does to images: windows, policies, mixtures."""
