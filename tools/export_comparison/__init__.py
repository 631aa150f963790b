"""Parts of tools/compare_exports.py: classifiers, photographs, stopwatches."""
