"""Checks exports by running them in their engines, in another process."""
