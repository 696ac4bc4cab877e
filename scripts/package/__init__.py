"""Makes what AWS runs: the layer and the functions of template.yaml, pruned, compiled, and reproducible.

`make build` calls it for everything, and `sam build`, through the Makefile here, for one resource at a time.
"""
