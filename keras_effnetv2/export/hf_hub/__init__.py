"""Repositories for the Hugging Face Hub, which timm loads as well."""
