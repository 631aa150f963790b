"""Repositories of the Hugging Face Hub, in timm's layout."""
