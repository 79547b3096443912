"""Write scripts/rpc_methods.json: the names of the CLI's RPC methods, and the names and plain types of what they take and give.

Run by a maintainer, with a release of the CLI that has its schema in it (1.0.81 is the last that is known to):

    npm pack @github/copilot-linux-x64@1.0.81 && tar xzf github-copilot-linux-x64-1.0.81.tgz package/schemas
    python scripts/update_rpc_catalogue.py package/schemas/api.schema.json --cli 1.0.81
    python scripts/generate_rpc.py

It keeps facts alone: no text of the schema is taken. What was seen on the wire of releases without a schema is in SEEN_ON_THE_WIRE.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

TARGET = Path(__file__).with_name("rpc_methods.json")
SEEN_ON_THE_WIRE: dict[str, dict[str, object]] = {
    "auth.getStatus": {"params": {}, "result": "object"},
    "session.delete": {"params": {"sessionId": "str"}, "result": "object"},
    "session.getLastId": {"params": {}, "result": "object"},
    "session.getMetadata": {"params": {"sessionId": "str"}, "result": "object"},
    "session.list": {"params": {"filter": "object?"}, "result": "object"},
    "status.get": {"params": {}, "result": "object"},
}
OF_ANOTHER_FILE = {"type": "object"}  # events, in a schema of their own
PLAIN = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "null", "object": "object"}


def methods(node: dict) -> Iterator[dict]:
    """The methods of a part of the schema, however deep, without those that the CLI keeps for itself."""
    for inner in node.values():
        if isinstance(inner, dict):
            if "rpcMethod" in inner:
                if inner.get("visibility") != "internal":
                    yield inner
            else:
                yield from methods(inner)


class Schema:
    """What stands behind references."""

    def __init__(self, definitions: dict) -> None:
        self.definitions = definitions

    def resolved(self, schema: dict | None) -> dict | None:
        """What stands behind a reference."""
        while schema is not None and "$ref" in schema:
            schema = self.definitions.get(schema["$ref"].rpartition("/")[2], OF_ANOTHER_FILE)
        return schema

    def whole(self, schema: dict | None) -> dict:
        """All that a method takes or gives, where that may be nothing at all."""
        schema = self.resolved(schema) or {}
        some = [one for one in choices(schema) if not nothing(one)]
        return (self.resolved(some[0]) or {}) if len(some) == 1 and "properties" not in schema else schema

    def kind(self, schema: dict | None) -> str:
        """The plain type of a value."""
        schema = self.resolved(schema) or {}
        if words := schema.get("enum"):
            return f"one[{'|'.join(words)}]" if all(isinstance(word, str) for word in words) else "any"
        of = schema.get("type")
        if of is None and (some := choices(schema)):
            kinds = {self.kind(one) for one in some}
            return kinds.pop() if len(kinds) == 1 else "any"
        kinds = set(of) - {"null"} if isinstance(of, list) else {of}
        one = kinds.pop() if len(kinds) == 1 else None
        return f"list[{self.kind(schema.get('items'))}]" if one == "array" else PLAIN.get(one, "any")

    def fields(self, schema: dict, *, without: str = "") -> dict[str, str]:
        """The fields of an object; those that may be missing, or null, end in `?`."""
        required = schema.get("required", ())
        return {
            name: self.kind(of) + ("" if name in required and not isinstance(of.get("type"), list) else "?")
            for name, of in schema.get("properties", {}).items()
            if name != without
        }

    def shape(self, schema: dict | None) -> dict[str, str] | str:
        """What a method gives."""
        if schema is None:
            return "null"
        schema = self.whole(schema)
        return self.fields(schema) if "properties" in schema else self.kind(schema)

    def params(self, schema: dict | None, part: str) -> dict[str, str] | None:
        """What a method takes; None: anything."""
        schema = self.whole(schema)
        if "properties" not in schema:
            return None if choices(schema) else {}
        return self.fields(schema, without="sessionId" if part == "session" else "")


def choices(schema: dict) -> list[dict]:
    """What a value may be one of."""
    return schema.get("anyOf") or schema.get("oneOf") or []


def nothing(schema: dict) -> bool:
    """Whether it is null, or may not be there."""
    return schema.get("type") == "null" or schema == {"not": {}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("schema", type=Path)
    parser.add_argument("--cli", required=True, help="the release that the schema is of")
    options = parser.parse_args()
    api = json.loads(options.schema.read_text(encoding="utf-8"))
    schema = Schema(api["definitions"])
    found = {
        method["rpcMethod"]: {
            "params": schema.params(method.get("params"), part),
            "result": schema.shape(method.get("result")),
        }
        for part in ("server", "session")
        for method in methods(api[part])
    }
    catalogue = {
        "source": f"Copilot CLI {options.cli} (names and plain types of its RPC methods), 1.0.102 (calls seen)",
        "methods": dict(sorted((found | SEEN_ON_THE_WIRE).items())),
    }
    TARGET.write_text(json.dumps(catalogue, indent=1) + "\n", encoding="utf-8")
    print(f"{len(catalogue['methods'])} methods -> {TARGET.name}")


if __name__ == "__main__":
    main()
