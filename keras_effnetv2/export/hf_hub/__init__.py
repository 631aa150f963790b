"""Repositories for the Hugging Face Hub, which timm can load, too."""
