"""Parts of tools/comparisons/exports.py: classifiers, photographs, stopwatches."""
