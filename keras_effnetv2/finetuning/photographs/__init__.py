"""Photographs before anything is trained: listed, looked at, and divided."""
