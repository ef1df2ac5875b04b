"""One file per raw format.

Each has ``read(path, config, stimulus_class) -> RawRecording``, and may have ``header`` with the same arguments, which says what
can be said of a file at once, ``checks`` and ``files``.
"""
