"""The reference of `config.yaml`: a JSON schema for editors and a page for people, both made from the settings' types."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from retmech.config import KINDS, config_model

SCHEMA = Path("workflow/schemas/config.schema.json")
PAGE = Path("docs/config.md")

INTRODUCTION = """# config.yaml

Made by `make docs` from the types in `retmech/settings.py`, `retmech/probes/` and `retmech/models/architectures/`. Unknown keys
are refused. A section that runs once per named thing maps names (`[a-z0-9_-]+`, no hyphen first) to settings; in `train` and
`synthesize` an entry's name also says its architecture or probe, unless the key `architecture` or `probe` does. What is left
out has the default.
"""


def schema() -> str:
    """Return the JSON schema of the config."""
    return json.dumps(config_model().model_json_schema(), indent=1, sort_keys=True) + "\n"


def page() -> str:
    """Return the reference as Markdown: a table of keys for every section."""
    whole = config_model().model_json_schema()
    definitions = whole["$defs"]
    parts = [INTRODUCTION]
    for name, section in whole["properties"].items():
        parts.append(f"\n## {name}\n")
        if section.get("description"):
            parts.append(f"\n{_sentence(section['description'])}\n")
        for title in _models(section):
            definition = definitions[title]
            kind = str(definition["properties"].get(KINDS.get(name, ""), {}).get("const", ""))
            parts.append((f"\n### {name}: {kind}\n" if kind else "") + f"\n{definition.get('description', '')}\n")
            parts.append("\n| key | type | range | default | meaning |\n|---|---|---|---|---|\n")
            parts += list(_rows(definition, definitions))
    return "".join(parts)


def rows_of(model: type[BaseModel]) -> Iterator[str]:
    """Yield a table's rows, one for each setting of a model."""
    whole = model.model_json_schema()
    yield from _rows(whole, whole.get("$defs", {}))


def write(folder: Path) -> None:
    """Write schema and page below a folder."""
    for path, text in ((SCHEMA, schema()), (PAGE, page())):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")


def _models(node: Any) -> list[str]:
    """Names of the models that a property refers to, in order."""
    if isinstance(node, dict):
        if "$ref" in node:
            return [node["$ref"].rpartition("/")[2]]
        return [name for key, value in node.items() if key != "discriminator" for name in _models(value)]
    return [name for value in node for name in _models(value)] if isinstance(node, list) else []


def _rows(definition: dict[str, Any], definitions: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for key, field in definition["properties"].items():
        inner = _models(field)
        if inner:
            yield from _rows(definitions[inner[0]], definitions, f"{prefix}{key}.")
        else:
            default = json.dumps(field["default"]) if "default" in field else "required"
            yield f"| `{prefix}{key}` | {_type(field)} | {_range(field)} | `{default}` | {field.get('description', '')} |\n"


def _type(field: dict[str, Any]) -> str:
    if "anyOf" in field:
        return " or ".join(_type(option) for option in field["anyOf"])
    if "const" in field:
        return "string"
    if "enum" in field:
        return "one of " + ", ".join(map(str, field["enum"]))
    if field.get("type") == "array":
        of = _type(field.get("items", {}))
        return f"list of ({of})" if " or " in of else f"list of {of}"
    return str(field.get("type", "any"))


def _range(field: dict[str, Any]) -> str:
    signs = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
    own = [f"{sign} {field[key]:g}" for key, sign in signs.items() if key in field]
    items = field.get("items")
    return ", ".join(own) or (_range(items) if isinstance(items, dict) else "")


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."
