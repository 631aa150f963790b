"""What `tools/write_tables.py` writes between the markers of README and guides."""
