"""Downloads: verified, tried again, never half there."""
