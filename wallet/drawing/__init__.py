"""Pictures: trees of boxes, what became of a purpose's money, and PNG out of SVG."""
