"""The templates and the style sheet; the only files that a browser sees the words of."""
