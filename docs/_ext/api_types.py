"""Show settings and types of files as tables in the API reference, and signatures as they stand in the sources."""

import inspect
import re
from collections.abc import Iterator
from typing import Any

from pandera.api.xarray.model_components import XarrayFieldInfo
from pandera.xarray import DatasetModel
from pydantic import BaseModel
from sphinx.application import Sphinx

from retmech.reference import rows_of

ARRAY = re.compile(r"~?(?:numpy\.)?ndarray\[tuple\[[^\]]*\], ~?(?:numpy\.)?dtype\[([^\]]*)\]\]")
SIGNS = {"greater_than_or_equal_to": ">=", "less_than_or_equal_to": "<=", "greater_than": ">", "less_than": "<", "isin": "in"}


def setup(app: Sphinx) -> dict[str, bool]:
    """Listen to autodoc."""
    app.connect("autodoc-process-docstring", document)
    app.connect("autodoc-process-docstring", plain_types, priority=600)  # after napoleon, which writes them
    app.connect("autodoc-process-signature", sign)
    app.connect("autodoc-skip-member", skip)
    return {"parallel_read_safe": True}


def document(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Add the table of a class's fields; of a probe, what was found and when a response matches it."""
    if inspect.isclass(thing) and issubclass(thing, BaseModel) and thing is not BaseModel:
        rows = [[cell.strip() for cell in row.strip().strip("|").split(" | ")] for row in rows_of(thing)]
        lines += table(["key", "type", "range", "default", "meaning"], [[code(cell) for cell in row] for row in rows])
    elif inspect.isclass(thing) and issubclass(thing, DatasetModel):
        lines += table(["variable", "dimensions", "dtype", "unit", "range"], list(variables(thing)))
    elif what == "module" and hasattr(thing, "CRITERION"):
        lines += ["", f"*Found:* {thing.FOUND} ({thing.SOURCE})", "", ".. py:data:: CRITERION", ""]
        lines += [f"   A response matches if {thing.CRITERION}.", ""]


def plain_types(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Write shapes and types as words, which are not looked up, and several attributes of one description as one."""
    typed = (re.sub(r"^(:(?:var|r)?type(?: [^:]+)?: )([^*`]+)$", r"\1*\2*", line) for line in lines)
    lines[:] = [re.sub(r"^:(ivar|vartype) ([^:]+):", lambda m: f":{m[1]} {m[2].replace(', ', '/')}:", line) for line in typed]


def sign(app: Sphinx, what: str, name: str, thing: Any, options: Any, signature: str | None, result: str | None) -> Any:
    """Leave out the signatures of what has a table, and write array types as the sources do."""
    if inspect.isclass(thing) and issubclass(thing, BaseModel | DatasetModel):
        return "", None
    return tuple(part and ARRAY.sub(r"NDArray[\1]", part) for part in (signature, result))


def skip(app: Sphinx, what: str, name: str, thing: Any, skipped: bool, options: Any) -> bool | None:
    """Show what pydantic and pandera add to a class, and of private names all but the types of files, not at all."""
    if name.startswith("_") and not name.startswith("__"):
        return not (inspect.isclass(thing) and issubclass(thing, DatasetModel))
    return True if name in {"model_config", "model_post_init", "Config"} and what == "class" else None


def variables(model: type[DatasetModel]) -> Iterator[list[str]]:
    """Yield a row for each variable and coordinate of a type of file, inherited ones first."""
    dtypes = {name: of for base in reversed(model.__mro__) for name, of in vars(base).get("__annotations__", {}).items()}
    for name, of in dtypes.items():
        field = getattr(model, name, None)
        info = next((vars(base)[name] for base in model.__mro__ if isinstance(vars(base).get(name), XarrayFieldInfo)), field)
        if isinstance(info, XarrayFieldInfo):
            own = getattr(of, "__args__", (of,))[0]
            limits = [f"{sign} {value}" for check in info.checks for sign, value in limit(check)]
            missing = ["NaN"] if info.nullable else []
            dims = "coordinate" if hasattr(of, "__args__") else ", ".join(info.dims or ())
            yield [f"``{name}``", dims, getattr(own, "__name__", str(own)), info.metadata["units"], ", ".join(limits + missing)]


def limit(check: Any) -> Iterator[tuple[str, Any]]:
    """Yield the sign and the value of a check, if it is a limit."""
    if check.name in SIGNS:
        yield SIGNS[check.name], next(iter(check.statistics.values()))


def code(text: str) -> str:
    """Return Markdown's code as reStructuredText's."""
    return re.sub(r"`([^`]*)`", r"``\1``", text).replace("|", r"\|")


def table(header: list[str], rows: list[list[str]]) -> list[str]:
    """Return the lines of a table."""
    if not rows:
        return []
    lines = ["", ".. list-table::", "   :header-rows: 1", ""]
    for row in [header, *rows]:
        lines += [f"   {' ' if i else '*'} - {cell}" for i, cell in enumerate(row)]
    return [*lines, ""]
