"""One file per architecture: ``Config``, ``interneurons(config) -> int`` and ``build(config, geometry, cells) -> Network``."""
