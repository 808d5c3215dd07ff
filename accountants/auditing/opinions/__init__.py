"""Other people's accountants as second opinions: asked on request, only where they are known to be right."""
