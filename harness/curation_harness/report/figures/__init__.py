"""The report's figures, as SVG text. The only package that imports matplotlib."""
