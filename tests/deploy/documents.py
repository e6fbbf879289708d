"""Reading YAML and JSON documents part by part, each with the type that it must have."""

from __future__ import annotations

import yaml


class Part:
    """A place in a document; a test fails with the place's name when it is of another kind."""

    def __init__(self, value: object, place: str = "document") -> None:
        self.value = value
        self.place = place

    def __getitem__(self, key: str | int) -> Part:
        if isinstance(self.value, list) and isinstance(key, int):
            return Part(self.value[key], f"{self.place}[{key}]")
        found = self.mapping()
        assert key in found, f"{self.place} has no {key}"
        return Part(found[str(key)], f"{self.place}.{key}")

    def __contains__(self, key: str) -> bool:
        return key in self.mapping()

    def get(self, key: str) -> Part:
        """An empty mapping where there is none."""
        return self[key] if key in self else Part({}, f"{self.place}.{key}")

    def parts(self) -> dict[str, Part]:
        """Of a mapping, by key."""
        return {key: self[key] for key in self.mapping()}

    def items(self) -> list[Part]:
        """Of a list, in order."""
        assert isinstance(self.value, list), f"{self.place} is no list"
        return [self[index] for index in range(len(self.value))]

    def texts(self) -> list[str]:
        """Of a list, each as text."""
        return [item.text() for item in self.items()]

    def text(self) -> str:
        """A plain value as text."""
        assert isinstance(self.value, str | int | float | bool), f"{self.place} is no plain value"
        return str(self.value)

    def mapping(self) -> dict[str, object]:
        """As it was read."""
        assert isinstance(self.value, dict), f"{self.place} is no mapping"
        return self.value


def yaml_document(text: str) -> Part:
    """The one document of a YAML text."""
    return Part(yaml.safe_load(text))


def yaml_documents(text: str) -> list[Part]:
    """Its documents, without empty ones."""
    return [Part(document) for document in yaml.safe_load_all(text) if document is not None]
