"""Models at serving time, in plain numpy: trees, their explanation, and the file that carries them."""
