import base64

import pytest
from jinja2 import UndefinedError

from reactkd_auto.pages import data_url, render


def test_values_are_escaped_and_missing_ones_are_errors(tmp_path):
    (tmp_path / "page.html").write_text("<p>{{ name }}</p>")
    assert render(tmp_path / "page.html", name="<b>") == "<p>&lt;b&gt;</p>"
    with pytest.raises(UndefinedError):
        render(tmp_path / "page.html")


@pytest.mark.parametrize(("name", "kind"), [("a.png", "image/png"), ("a.svg", "image/svg+xml")])
def test_pictures_become_part_of_the_page(tmp_path, name, kind):
    (tmp_path / name).write_bytes(b"\x00picture")
    head, data = data_url(tmp_path / name).split(",")
    assert head == f"data:{kind};base64"
    assert base64.b64decode(data) == b"\x00picture"
