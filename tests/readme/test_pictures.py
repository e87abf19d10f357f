"""What docs/pictures.py does to a tutorial: commands run in order, once, and what they printed stands behind them."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from tests.readme.test_readme import DOCS, TAUGHT

_FOUND = importlib.util.spec_from_file_location("pictures", DOCS / "pictures.py")
assert _FOUND is not None
assert _FOUND.loader is not None
pictures = importlib.util.module_from_spec(_FOUND)
_FOUND.loader.exec_module(pictures)

PAGE = """# A page

```sh
echo one | tee first.txt
```

```text
what stood here before
```

```sh
cat first.txt >> second.txt
```

```python
print(open("first.txt").read())
```

```text
```
"""


def test_what_was_printed_stands_behind_each_command_and_nothing_runs_twice(tmp_path: Path) -> None:
    page, folder = tmp_path / "page.md", tmp_path / "work"
    page.write_text(PAGE)
    for _ in range(2):
        page.write_text(pictures.play(page, folder))
    assert page.read_text() == PAGE.replace("what stood here before", "one").replace(
        "```text\n```", "```text\none\n```"
    )
    assert (folder / "second.txt").read_text() == "one\n"


def test_a_command_that_fails_ends_it(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```sh\nls nothing_here\n```\n")
    with pytest.raises(SystemExit, match="nothing_here"):
        pictures.play(page, tmp_path / "work")


@pytest.mark.parametrize("domain", TAUGHT)
def test_every_picture_of_a_tutorial_is_one_that_is_made(domain: str) -> None:
    made = {*pictures.PICTURES[domain], *pictures.ELSEWHERE.get(domain, {}), *pictures.FILMS.get(domain, ())}
    shown = re.findall(rf"images/tutorials/{domain}_(\w+)\.", (DOCS / "tutorials" / f"{domain}.md").read_text())
    assert sorted(shown) == sorted(made)
    for name in shown:
        file = next((DOCS / "images" / "tutorials").glob(f"{domain}_{name}.*"))
        assert file.stat().st_size < 150_000
