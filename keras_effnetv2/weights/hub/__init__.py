"""Repositories of the Hugging Face Hub, in the layout that timm gives them."""
