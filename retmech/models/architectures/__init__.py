"""One file per architecture. Each has ``Config``, ``INTERNEURONS`` and ``build(config, geometry, cells) -> Network``."""
