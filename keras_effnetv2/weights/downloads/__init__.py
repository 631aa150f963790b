"""Downloads: verified, retried, never left incomplete."""
