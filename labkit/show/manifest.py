"""`show.yaml`: a manifest in a notebook, with the colours of the notebook's theme."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from labkit.errors import LabError

Source = str | Path | dict[str, Any] | list[Any]


class Text:
    """YAML text that a notebook shows as a code block and a terminal as it stands.

    The block is Markdown, so whatever shows the notebook colours it: JupyterLab in its light or dark theme, nbconvert,
    VS Code.
    """

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text

    def _repr_markdown_(self) -> str:
        longest = max((len(run) for run in re.findall(r"`+", self.text)), default=0)
        fence = "`" * max(3, longest + 1)  # the text may have a block of its own in it
        return f"{fence}yaml\n{self.text}\n{fence}"


def yaml(source: Source) -> None:
    """Show YAML with highlighting: its text, the path of a file, or objects as the API returns them.

    The text is shown as it is, whether it is valid or not. LabError for a file that can't be read.
    """
    from IPython.display import display

    display(Text(text_of(source)))


def text_of(source: Source) -> str:
    """The YAML text of a source, without empty lines around it."""
    if isinstance(source, dict | list):
        return _dumped(source)
    if isinstance(source, str) and not _is_path(source):
        return _trimmed(source)
    try:
        return _trimmed(Path(source).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise LabError(f"{source} can't be read: {why}", "name a YAML file, or pass its text") from error
    except TypeError:
        kind = type(source).__name__
        raise LabError(f"a {kind} is not YAML", "pass text, a path, a dict or a list of dicts") from None


def _is_path(text: str) -> bool:
    """Whether a string names a file: one line that ends as a file's name does, or that is one."""
    one_line = "\n" not in text.strip() and ": " not in text
    return one_line and bool(re.search(r"\.(ya?ml|json)$", text.strip()) or "/" in text or (text and _exists(text)))


def _exists(text: str) -> bool:
    try:
        return Path(text).is_file()
    except (OSError, ValueError):  # too long for a name, a null byte
        return False


def _trimmed(text: str) -> str:
    """Without the empty lines at the start and the blanks at the end; the indentation of the first line stays."""
    return re.sub(r"\A(?:[ \t]*\r?\n)+", "", text).rstrip()


def _dumped(objects: dict[str, Any] | list[Any]) -> str:
    import yaml as pyyaml

    class Dumper(pyyaml.SafeDumper):
        def ignore_aliases(self, _: Any) -> bool:  # the same part twice is written twice: no &id001
            return True

    def text(dumper: Any, value: str) -> Any:
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)

    Dumper.add_representer(str, text)
    manifests = isinstance(objects, list) and objects and all(isinstance(o, dict) and "kind" in o for o in objects)
    parts = objects if manifests else [objects]
    return "---\n".join(pyyaml.dump(part, Dumper=Dumper, sort_keys=False, width=100) for part in parts).rstrip()
